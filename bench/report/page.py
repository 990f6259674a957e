# SPDX-License-Identifier: ISC
"""page.py: the report as one HTML file: no script, nothing fetched, light, dark and paper."""
import html

STYLE = '''
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #59636e; --rule: #d5dae0; --shade: #f4f6f8; --bad: #b42318;
  --c0: #0b6bcb; --c1: #c2410c; --c2: #15803d; --c3: #7e22ce; --c4: #a16207; --c5: #0e7490; --c6: #be185d; --c7: #475569; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e4e8ec; --soft: #9aa5b1; --rule: #333b44; --shade: #1d2228;
  --bad: #ff8a7a; --c0: #5cb0ff; --c1: #ff9a5c; --c2: #5fd38a; --c3: #c792ea; --c4: #e3c04f; --c5: #56ccd8; --c6: #ff7eb6;
  --c7: #a3b1c2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1.2rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .5rem; padding-top: .8rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p { margin: .5rem 0; max-width: 48rem; }
.soft, figcaption, .sub { color: var(--soft); font-size: .88rem; }
.answer { font-size: 1.08rem; font-weight: 600; }
.warn { border-left: 4px solid var(--bad); padding: .4rem .8rem; background: var(--shade); }
.verdict { border-left: 4px solid var(--c0); padding: .4rem .8rem; background: var(--shade); }
a { color: inherit; }
nav ol { columns: 2; padding-left: 1.3rem; font-size: .92rem; }
table { border-collapse: collapse; margin: .7rem 0; font-size: .86rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: .2rem; }
th, td { padding: .18rem .6rem; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap; }
th:first-child, td:first-child, td.l, th.l { text-align: left; }
th { font-weight: 600; border-bottom: 1.5px solid var(--soft); vertical-align: bottom; }
td.lose { color: var(--bad); font-weight: 600; } td.win { color: var(--c2); font-weight: 600; }
.wide { overflow-x: auto; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .84rem; }
pre { background: var(--shade); padding: .6rem .8rem; overflow-x: auto; margin: .5rem 0; line-height: 1.35; }
figure { margin: .9rem 0; max-width: 48rem; }
figure > svg { width: 100%; height: auto; display: block; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; font-size: .85rem; margin: .2rem 0 .3rem 3.5rem; }
.key svg { margin-right: .4rem; vertical-align: middle; }
svg text { fill: var(--ink); font-family: inherit; } svg .tick { font-size: 12px; fill: var(--soft); }
svg .name { font-size: 12.5px; } svg .label { font-size: 13px; }
svg .grid { stroke: var(--rule); stroke-width: 1; } svg .axis { stroke: var(--ink); stroke-width: 1.2; }
svg .line { fill: none; stroke-width: 2.2; } svg .whisker { stroke-width: 1.2; opacity: .6; }
''' + ''.join('svg .line.c%d, svg .whisker.c%d { stroke: var(--c%d); } svg .fill.c%d { fill: var(--c%d); }\n' % (i, i, i, i, i)
              for i in range(8)) + '''
@media print { :root { --paper: #fff; --ink: #000; --soft: #444; --rule: #bbb; --shade: #f4f4f4; --bad: #b42318; --c0: #0b6bcb;
  --c1: #c2410c; --c2: #15803d; --c3: #7e22ce; --c4: #a16207; --c5: #0e7490; --c6: #be185d; --c7: #475569; }
  body { max-width: none; padding: 0; font-size: 10.5pt; } figure, table, pre, .answer { break-inside: avoid; }
  h2, h3 { break-after: avoid; } pre { white-space: pre-wrap; font-size: 7.5pt; } .wide { overflow: visible; }
  td, th { padding: .1rem .35rem; } figure { max-width: 15cm; } nav { display: none; } }
@page { margin: 1.6cm; }
'''


def esc(text):
    return html.escape(str(text), quote=True)


def table(head, rows, caption='', left=1):
    """Cells are text, or (text, class).  The first `left' columns are words."""
    def cell(tag, value, i):
        words, kind = value if isinstance(value, tuple) else (value, '')
        kind = (kind + (' l' if i < left else '')).strip()
        return '<%s%s>%s</%s>' % (tag, ' class="%s"' % kind if kind else '', esc(words), tag)
    parts = ['<div class="wide"><table>']
    if caption:
        parts.append('<caption>%s</caption>' % caption)
    parts.append('<thead><tr>%s</tr></thead><tbody>' % ''.join(cell('th', h, i) for i, h in enumerate(head)))
    parts += ['<tr>%s</tr>' % ''.join(cell('td', v, i) for i, v in enumerate(row)) for row in rows]
    parts.append('</tbody></table></div>')
    return ''.join(parts)


def command(line):
    return '<p class="soft">Again: <code>%s</code></p>' % esc(line)


def page(title, body):
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">\n'
            '<title>%s</title>\n<style>%s</style></head>\n<body>\n%s\n</body></html>\n' % (esc(title), STYLE, body))
