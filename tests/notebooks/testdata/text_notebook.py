import collections
import re
text = """Die Würde des Menschen ist unantastbar. Sie zu achten und zu schützen ist Verpflichtung aller staatlichen Gewalt.
人皆生而自由 — all human beings are born free 😀 and equal in dignity and rights."""
print(len(text), len(text.encode()))
# %%
words = re.findall(r"\w+", text.lower())
print(len(words), words[:5])
# %%
print(collections.Counter(words).most_common(3))
# %%
print(collections.Counter(c for c in text if not c.isascii()).most_common(2))
# %%
import unicodedata
print(unicodedata.normalize("NFD", "Würde").encode())
# %%
print([unicodedata.name(c) for c in "ü人😀"])
# %%
import textwrap
print(textwrap.fill(text, 40))
# %%
print(re.sub(r"(?P<w>\b\w{10,}\b)", lambda m: m["w"].upper(), text))
# %%
import difflib
print("\n".join(difflib.unified_diff(["a", "b", "c"], ["a", "x", "c"], lineterm="")))
# %%
import string
print(string.Template("$who likes ${what}").substitute(who="tim", what="kung pao"))
# %%
import json
print(json.dumps({"k": text[:20], "n": [1, 2.5, None]}, ensure_ascii=False, indent=1))
# %%
import csv, io
out = io.StringIO()
csv.writer(out).writerows([["a", 'say "hi"'], ["b,c", "x\ny"]])
print(out.getvalue())
# %%
import html, base64, hashlib, zlib
print(html.escape("<a & b>"), base64.b64encode(text.encode())[:20], hashlib.sha256(text.encode()).hexdigest()[:16])
# %%
print(zlib.decompress(zlib.compress(text.encode() * 100)) == text.encode() * 100)
# %%
print(f"{'left':<10}|{'right':>10}|{3.14159:.2f}|{1234567:,}|{255:#x}")
# %%
import sys
sys.stdout.write("without a newline")
sys.stdout.write(" and on\n")
# %%
print("tab\there\rcarriage\b\x1b[31mred\x1b[0m")
# %%
try:
    "ü".encode("ascii")
except UnicodeEncodeError as e:
    print(e)
# %%
print("x" * 100_000)
# %%
sys.stdout.flush()
sys.stdout.buffer.write("bytes ü\n".encode())
sys.stdout.buffer.flush()
for line in range(3):
    print(line, end=" ", flush=True)
print()
