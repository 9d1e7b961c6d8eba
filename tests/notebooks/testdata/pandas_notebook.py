import io
import numpy as np
import pandas as pd
# %%
rng = np.random.default_rng(1)
df = pd.DataFrame({
    "day": pd.date_range("2025-01-01", periods=120, freq="D"),
    "shop": rng.choice(["Köln", "東京", "Paris"], 120),
    "sold": rng.poisson(20, 120),
    "price": rng.uniform(1, 9, 120).round(2),
})
print(df.shape, list(df.columns))
# %%
print(df.head())
# %%
print(df.dtypes)
# %%
print(df.describe().round(3))
# %%
df["sum"] = df["sold"] * df["price"]
print(df.groupby("shop")["sum"].agg(["count", "mean", "max"]).round(2))
# %%
monthly = df.set_index("day")["sum"].resample("MS").sum()
print(monthly.round(2))
# %%
print(df.pivot_table(index=df["day"].dt.month, columns="shop", values="sold", aggfunc="sum"))
# %%
print(df["sum"].rolling(7).mean().tail(3).round(3).tolist())
# %%
dirty = pd.read_csv(io.StringIO("a,b\n1,\n,x\n3,y\n"))
print(dirty.isna().sum().to_dict(), dirty.fillna({"a": 0, "b": "?"}).to_dict("records"))
# %%
other = pd.DataFrame({"shop": ["Köln", "Paris", "Rom"], "land": ["DE", "FR", "IT"]})
print(df.merge(other, on="shop", how="left")["land"].value_counts(dropna=False).sort_index().to_dict())
# %%
print(df.query("sold > 25 and price < 3")[["day", "sold"]].to_string(index=False))
# %%
print(pd.cut(df["price"], [0, 3, 6, 9]).value_counts(sort=False))
# %%
wide = df.head(4).melt(id_vars=["day"], value_vars=["sold", "price"])
print(wide)
# %%
print(df["shop"].astype("category").cat.codes.head(6).tolist())
# %%
buffer = io.StringIO()
df.info(buf=buffer)
print(buffer.getvalue().splitlines()[1:4])
# %%
try:
    df["missing"]
except KeyError as e:
    print("KeyError", e)
# %%
print(df.corr(numeric_only=True).round(3))
# %%
print(df.sort_values(["shop", "sum"], ascending=[True, False]).groupby("shop").head(1).to_csv(index=False))
# %%
long = df.apply(lambda row: len(row["shop"]), axis=1)
print(long.sum(), df["shop"].str.upper().unique().tolist())
# %%
print(df.to_json(orient="records", date_format="iso")[:200])
df
