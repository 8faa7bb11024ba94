"""Parts of commands that several recipes share: the data, and how to read them."""

NSMC = "{data}/nsmc/train.tsv --valid {data}/nsmc/valid.tsv --test {data}/nsmc/test.tsv --text document --label label"
VOWELS = "{data}/japanese_vowels/JapaneseVowels"
SST2 = (
    "train classify {work}/sst2-train.tsv --valid {work}/sst2-valid.tsv --test {work}/sst2-test.tsv --text text "
    "--label label --threads 1"
)
ETT = (
    "train forecast {data}/ett/ETTh1.csv --time date --target HUFL,HULL,MUFL,MULL,LUFL,LULL,OT --split 8640,2880,2880 "
    "--season 24 --threads 1 --horizon"
)
EWT = "{data}/ud_english_ewt/en_ewt-ud"
SERIES = "train forecast {data}/univariate"
