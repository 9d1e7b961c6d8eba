import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
# %%
rng = np.random.default_rng(3)
tips = pd.DataFrame({"bill": rng.gamma(4, 5, 100), "day": rng.choice(["Thu", "Fri", "Sat"], 100), "size": rng.integers(1, 6, 100)})
tips["tip"] = tips["bill"] * 0.15 + rng.normal(0, 0.5, 100)
print(tips.shape)
# %%
sns.set_theme(style="whitegrid")
print(sns.axes_style()["axes.grid"])
# %%
ax = sns.scatterplot(tips, x="bill", y="tip", hue="day")
print(ax.get_xlabel(), ax.get_ylabel())
plt.show()
# %%
plt.close("all")
ax = sns.barplot(tips, x="day", y="tip", order=["Thu", "Fri", "Sat"], errorbar=None)
print([round(p.get_height(), 4) for p in ax.patches])
# %%
plt.close("all")
ax = sns.boxplot(tips, x="day", y="bill", order=["Thu", "Fri", "Sat"])
print([t.get_text() for t in ax.get_xticklabels()])
# %%
plt.close("all")
ax = sns.histplot(tips["bill"], bins=8)
print([int(p.get_height()) for p in ax.patches])
# %%
plt.close("all")
ax = sns.lineplot(tips.groupby("size", as_index=False)["tip"].mean(), x="size", y="tip")
print(np.round(ax.lines[0].get_ydata(), 4))
# %%
plt.close("all")
grid = sns.FacetGrid(tips, col="day", col_order=["Thu", "Fri", "Sat"])
grid.map(plt.hist, "tip")
print(grid.axes.shape, [a.get_title() for a in grid.axes.flat])
# %%
plt.close("all")
ax = sns.heatmap(tips[["bill", "tip", "size"]].corr(), annot=True)
print([t.get_text() for t in ax.texts])
# %%
plt.close("all")
ax = sns.kdeplot(tips["tip"])
print(len(ax.lines[0].get_xdata()))
# %%
plt.close("all")
ax = sns.violinplot(tips, x="day", y="tip", order=["Thu", "Fri", "Sat"])
print(len(ax.collections))
# %%
plt.close("all")
ax = sns.regplot(tips, x="bill", y="tip", ci=None)
print(np.round(ax.lines[0].get_ydata()[[0, -1]], 3))
# %%
plt.close("all")
ax = sns.countplot(tips, x="size")
print([int(p.get_height()) for p in ax.patches])
# %%
plt.close("all")
pairs = sns.pairplot(tips[["bill", "tip"]])
print(pairs.axes.shape)
# %%
plt.close("all")
ax = sns.ecdfplot(tips["bill"])
print(round(float(ax.lines[0].get_ydata()[-1]), 3))
# %%
print(sns.color_palette("deep", 3).as_hex())
# %%
plt.close("all")
joint = sns.jointplot(tips, x="bill", y="tip")
print(joint.ax_joint.get_xlabel())
# %%
plt.close("all")
ax = sns.stripplot(tips, x="day", y="tip", order=["Thu", "Fri", "Sat"])
print([len(c.get_offsets()) for c in ax.collections])
# %%
plt.close("all")
ax = sns.pointplot(tips, x="day", y="tip", order=["Thu", "Fri", "Sat"], errorbar=None)
print(np.round(ax.lines[0].get_ydata(), 4))
# %%
plt.close("all")
print(plt.get_fignums())
