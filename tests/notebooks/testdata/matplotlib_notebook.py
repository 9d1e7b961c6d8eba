import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
print(plt.get_backend().lower())
# %%
x = np.linspace(0, 6, 50)
fig, ax = plt.subplots()
line, = ax.plot(x, np.sin(x), label="sin")
print(line.get_label(), len(line.get_xdata()))
# %%
ax.set(title="Sinus", xlabel="x", ylabel="y")
print(ax.get_title(), ax.get_xlabel())
plt.show()
# %%
plt.close("all")
bars = plt.bar(["a", "b"], [1, 3])
print([b.get_height() for b in bars])
plt.show()
# %%
plt.close("all")
wedges, texts, shares = plt.pie([1, 3], labels=["a", "b"], autopct="%d%%")
print([t.get_text() for t in shares])
plt.show()
# %%
plt.close("all")
n, bins, _ = plt.hist([1, 1, 2, 5], bins=4)
print(n, bins)
# %%
plt.close("all")
fig, axes = plt.subplots(2, 2, sharex=True)
print(axes.shape, len(fig.axes))
# %%
axes[0, 0].scatter(x, np.cos(x))
print(axes[0, 0].collections[0].get_offsets().shape)
# %%
axes[1, 1].boxplot([[1, 2, 3, 9], [2, 3, 4]])
print(len(axes[1, 1].lines))
fig
# %%
import io
out = io.BytesIO()
fig.savefig(out, format="png")
print(out.getvalue()[:4])
# %%
out = io.StringIO()
fig.savefig(out, format="svg")
print("<svg" in out.getvalue())
# %%
plt.close("all")
plt.imshow(np.arange(9).reshape(3, 3))
plt.colorbar()
print(len(plt.gcf().axes))
plt.show()
# %%
plt.close("all")
plt.semilogy([1, 10, 100])
print(plt.gca().get_yscale())
# %%
print(plt.rcParams["figure.dpi"])
with plt.rc_context({"figure.dpi": 200}):
    print(plt.figure().dpi)
# %%
plt.close("all")
import datetime
days = [datetime.date(2025, 1, d) for d in (1, 2, 3)]
plt.plot(days, [1, 2, 1])
plt.gcf().autofmt_xdate()
print([round(t) for t in plt.gca().get_xlim()])
# %%
plt.close("all")
plt.fill_between(x, np.sin(x), alpha=0.3)
print(len(plt.gca().collections))
# %%
plt.annotate("here", (1, 0.5), arrowprops={"arrowstyle": "->"})
print(plt.gca().texts[0].get_text())
# %%
try:
    plt.plot([1, 2], [1])
except ValueError as e:
    print("ValueError", "first dimension" in str(e))
# %%
plt.close("all")
fig = plt.figure()
three = fig.add_subplot(projection="3d")
three.plot([0, 1], [0, 1], [0, 1])
print(three.name)
# %%
plt.close("all")
print(plt.get_fignums())
