"""The style of the page: for screens of any width, for print, for light and dark themes."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5b6470; --paper: #ffffff; --panel: #f4f5f7; --rule:
  #d8dce2;
  --c0: #1f6fb2; --c1: #c4561b; --c2: #2c8a57; --c3: #8a4fb0; --c4: #a08200; --c5: #b0325f; --c6: #3f7f86; --c7:
  #6b6b6b;
  --ok: #2c8a57; --warning: #a86700; --fault: #c0392b; --unknown: #77808c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #a3acb8; --paper: #14171b; --panel: #1d2127;
  --rule: #363c45; --c0: #6db3f2; --c1: #f2935a; --c2: #67c994; --c3: #c193e6; --c4: #d9bd45; --c5: #ee7fa8; --c6:
  #74c2ca;
  --c7: #a9a9a9; --ok: #67c994; --warning: #e5ab4a; --fault: #f2786b; --unknown: #8d97a5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.35rem; margin: .5rem 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; border-top: 1px solid
  var(--rule);
  padding-top: 1rem; } h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
.verdict { font-size: 1.15rem; background: var(--panel); border-left: 4px solid var(--c0); padding: .75rem 1rem;
  margin: 1rem 0; }
p.soft, figcaption, .condition { color: var(--soft); font-size: .875rem; } figure { margin: 1rem 0; }
.two { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); gap: 0 1.5rem; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--ink); font: 16px system-ui, sans-serif; }
svg .tick, svg .note { fill: var(--soft); font-size: 15px; }
svg .note { paint-order: stroke; stroke: var(--paper); stroke-width: 5px; stroke-linejoin: round; } .grid { stroke:
  var(--rule); stroke-width: 1; }
.marker { stroke: var(--fault); stroke-width: 1.5; stroke-dasharray: 5 4; } .line { fill: none; stroke-width: 2; }
.band { opacity: .18; stroke: none; }
.line.c0 { stroke: var(--c0) } .line.c1 { stroke: var(--c1) } .line.c2 { stroke: var(--c2) } .line.c3 { stroke:
  var(--c3) }
.line.c4 { stroke: var(--c4) } .line.c5 { stroke: var(--c5) } .line.c6 { stroke: var(--c6) } .line.c7 { stroke:
  var(--c7) }
.band.c0, .bar.c0 { fill: var(--c0) } .band.c1, .bar.c1 { fill: var(--c1) } .band.c2, .bar.c2 { fill: var(--c2) }
.band.c3, .bar.c3 { fill: var(--c3) } .band.c4 { fill: var(--c4) } .band.c5 { fill: var(--c5) }
.key { display: inline-block; width: 1.2em; height: .25em; vertical-align: middle; margin-right: .4em; }
.key.c0 { background: var(--c0) } .key.c1 { background: var(--c1) } .key.c2 { background: var(--c2) }
.key.c3 { background: var(--c3) } .key.c4 { background: var(--c4) } .key.c5 { background: var(--c5) }
.key.c6 { background: var(--c6) } .key.c7 { background: var(--c7) }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: 0; margin: .25rem 0;
  font-size: .875rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; } .scroll { overflow-x: auto; }
th { overflow-wrap: normal; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.check { display: grid; grid-template-columns: 6.5rem 1fr; gap: 0 .75rem; padding: .5rem 0; border-bottom: 1px
  solid var(--rule); }
.status { font-weight: 600; } .ok { color: var(--ok) } .warning { color: var(--warning) } .fault { color:
  var(--fault) }
.unknown { color: var(--unknown) } code { background: var(--panel); padding: .1em .3em; border-radius: 3px;
  white-space: nowrap; }
.text { font: 15px/1.9 ui-monospace, monospace; white-space: pre-wrap; background: var(--panel); padding: .5rem
  .75rem; }
.text span { padding: .15em 0; border-radius: 2px; } .heat rect { shape-rendering: crispEdges; }
.frame { fill: none; stroke: var(--rule); } svg.alignment { max-width: none; margin: .5rem 0; }
svg.alignment text { font-size: 16px; } .alignments { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; }
summary { color: var(--soft); cursor: pointer; padding: .5rem 0; }
.regions { display: grid; grid-template-columns: repeat(auto-fill, minmax(5.5rem, 1fr)); gap: 0 .75rem; }
.regions figcaption { text-align: center; }
td.meter { width: 30%; vertical-align: middle; }
.meter span { display: block; height: .7em; background: var(--c0); border-radius: 2px; }
.outcome { border-bottom: 2px solid var(--ink); }
@media (max-width: 34rem) { svg text { font-size: 22px } svg .tick, svg .note { font-size: 20px }
  .check { grid-template-columns: 1fr; } }
.horizons { max-width: 36rem; }
@media print { body { max-width: none; font-size: 11pt; } figure, .check, tr { break-inside: avoid; } }
"""
