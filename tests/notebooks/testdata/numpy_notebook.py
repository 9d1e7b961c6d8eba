import numpy as np
rng = np.random.default_rng(7)
print(np.__version__ != "")
# %%
a = rng.normal(size=(200, 5))
print(a.shape, a.dtype, round(float(a.sum()), 6))
# %%
print(np.round(a.mean(axis=0), 4))
# %%
cov = np.cov(a, rowvar=False)
print(np.allclose(cov, cov.T), np.round(np.trace(cov), 4))
# %%
values, vectors = np.linalg.eigh(cov)
print(np.round(values, 4))
# %%
print(np.allclose(vectors @ np.diag(values) @ vectors.T, cov))
# %%
b = a @ a.T
print(b.shape, np.linalg.matrix_rank(b))
# %%
x = np.linspace(0, 2 * np.pi, 64, endpoint=False)
spectrum = np.abs(np.fft.rfft(np.sin(3 * x) + 0.5 * np.cos(7 * x)))
print([int(i) for i in np.argsort(spectrum)[-2:]])
# %%
mask = a[:, 0] > 0
print(mask.sum(), np.round(a[mask].mean(), 5))
# %%
structured = np.array([(1, 2.5, "ä"), (2, 3.5, "日")], dtype=[("i", "i4"), ("f", "f8"), ("s", "U4")])
print(structured["s"], structured["f"].sum())
# %%
print(np.einsum("ij,ij->i", a[:3], a[:3]).round(4))
# %%
with np.errstate(divide="ignore"):
    print(np.float64(1) / np.float64(0))
# %%
try:
    np.ones((2, 3)) @ np.ones((2, 3))
except ValueError as e:
    print(type(e).__name__, "mismatch" in str(e))
# %%
p = np.polynomial.Polynomial([1, -3, 2])
print(np.sort(p.roots()))
# %%
counts, edges = np.histogram(a, bins=5, range=(-3, 3))
print(counts, edges)
# %%
c = a.copy()
c.sort(axis=0)
print(c[0].round(3), c[-1].round(3))
# %%
print(np.unique(rng.integers(0, 5, 100), return_counts=True))
# %%
import tempfile, os
with tempfile.TemporaryDirectory() as folder:
    np.save(os.path.join(folder, "a.npy"), a)
    print(np.array_equal(np.load(os.path.join(folder, "a.npy")), a))
# %%
big = np.arange(10_000_000)
print(big.sum(), big[::1_000_000])
# %%
del big
print(np.array2string(a[:2], precision=2, suppress_small=True))
