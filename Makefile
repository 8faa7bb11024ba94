# The two commands. All their steps are in scripts/, for people and for continuous integration.

VENV ?= .venv
DEMO ?= train language shakespeare --hidden 256 --time-limit 150s
PROMPT ?= ROMEO:

.PHONY: demo test

demo:
	scripts/install all
	@run=runs/demo-$$(date +%Y%m%d-%H%M%S) && \
	$(VENV)/bin/seriatim $(DEMO) --out $$run && \
	printf '\nA sample (seriatim generate %s --prompt "%s"):\n\n' "$$run" "$(PROMPT)" && \
	$(VENV)/bin/seriatim generate $$run --prompt "$(PROMPT)" --temperature 0.8 --seed 0 && \
	$(VENV)/bin/seriatim export $$run $$run-exported && \
	printf '\nOne request to a server of the exported model (seriatim serve %s-exported):\n\n' "$$run" && \
	$(VENV)/bin/python recipes/ask.py $$run-exported "$(PROMPT)" && \
	printf '\nThe run folder is %s; "%s/bin/seriatim --help" shows what else there is.\n' "$$run" "$(VENV)"

test:
	scripts/install all,test
	scripts/check
	scripts/sanitize
	scripts/cross aarch64
	scripts/test
