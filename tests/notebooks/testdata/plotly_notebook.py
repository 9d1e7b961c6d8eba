import json
import plotly
import plotly.graph_objects as go
print(plotly.__version__.split(".")[0])
# %%
fig = go.Figure(go.Scatter(x=[1, 2, 3], y=[4, 1, 6], name="a"))
print(json.loads(fig.to_json())["data"][0]["y"])
# %%
fig.add_trace(go.Bar(x=[1, 2, 3], y=[2, 2, 2], name="b"))
print(len(fig.data), [t.type for t in fig.data])
# %%
fig.update_layout(title="Verkäufe 📈", xaxis_title="Tag")
print(fig.layout.title.text, fig.layout.xaxis.title.text)
# %%
import numpy as np
import pandas as pd
import plotly.express as px
frame = pd.DataFrame({"x": range(10), "y": np.arange(10) ** 2, "kind": ["a", "b"] * 5})
print(len(px.line(frame, x="x", y="y", color="kind").data))
# %%
bar = px.bar(frame, x="kind", y="y")
print(bar.data[0].type, bar.layout.xaxis.title.text)
# %%
pie = px.pie(frame.groupby("kind", as_index=False)["y"].sum(), names="kind", values="y")
print([float(v) for v in pie.data[0]["values"]])
# %%
print(px.histogram(frame, x="y", nbins=5).data[0].nbinsx)
# %%
from plotly.subplots import make_subplots
sub = make_subplots(rows=1, cols=2, subplot_titles=("l", "r"))
sub.add_trace(go.Scatter(y=[1]), 1, 1)
sub.add_trace(go.Heatmap(z=[[1, 2], [3, 4]]), 1, 2)
print([a.text for a in sub.layout.annotations])
# %%
try:
    go.Scatter(nothing=1)
except ValueError as e:
    print("ValueError", "nothing" in str(e))
# %%
print(sorted(fig.to_dict()))
# %%
fig.for_each_trace(lambda t: t.update(opacity=0.5))
print([t.opacity for t in fig.data])
# %%
print(len(fig.to_html(include_plotlyjs=False, div_id="d")) > 500)
# %%
box = px.box(frame, x="kind", y="y")
print(box.data[0].type)
# %%
surface = go.Figure(go.Surface(z=np.outer(np.arange(3), np.arange(3))))
print(surface.data[0].z.shape)
# %%
print(px.colors.qualitative.Plotly[:2])
# %%
fig.add_hline(y=3)
print(len(fig.layout.shapes))
# %%
copied = go.Figure(fig)
copied.data = copied.data[:1]
print(len(copied.data), len(fig.data))
# %%
print(px.scatter(frame, x="x", y="y", size="y").data[0].marker.sizemode)
# %%
fig
