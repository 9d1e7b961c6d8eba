import statistics as st
import random
random.seed(42)
data = [random.gauss(50, 12) for _ in range(1000)]
print(len(data))
# %%
print(round(st.mean(data), 6), round(st.median(data), 6))
# %%
print(round(st.stdev(data), 6), round(st.pvariance(data), 6))
# %%
print([round(q, 4) for q in st.quantiles(data, n=4)])
# %%
print(st.mode("mississippi"), st.multimode("aabb"))
# %%
normal = st.NormalDist.from_samples(data)
print(round(normal.cdf(50), 6))
# %%
print(round(st.NormalDist(0, 1).inv_cdf(0.975), 6))
# %%
other = [2 * d + random.random() for d in data]
print(round(st.correlation(data, other), 6))
# %%
slope, intercept = st.linear_regression(data, other)
print(round(slope, 4), round(intercept, 4))
# %%
from fractions import Fraction
print(st.mean([Fraction(1, 3), Fraction(1, 6)]))
# %%
from decimal import Decimal, getcontext
getcontext().prec = 30
print(Decimal(1) / Decimal(7))
# %%
try:
    st.mean([])
except st.StatisticsError as e:
    print(e)
# %%
from scipy import stats
t = stats.ttest_1samp(data, 50)
print(round(t.statistic, 5), round(t.pvalue, 5))
# %%
print([round(v, 5) for v in stats.shapiro(data[:200])])
# %%
print(stats.chi2_contingency([[10, 20], [30, 25]]).dof)
# %%
import numpy as np
sample = np.random.default_rng(5)
boot = [np.mean(sample.choice(data, 100)) for _ in range(200)]
print(np.round(np.percentile(boot, [2.5, 97.5]), 4))
# %%
from scipy import optimize
best = optimize.minimize(lambda v: (v[0] - 3) ** 2 + (v[1] + 1) ** 2, [0, 0])
print(np.round(best.x, 4), best.success)
# %%
from scipy import integrate
print(round(integrate.quad(lambda v: np.exp(-v * v), -np.inf, np.inf)[0], 8))
# %%
import itertools, math
print(sum(1 for p in itertools.permutations(range(7)) if p[0] < p[-1]), math.comb(50, 6))
# %%
print(*(f"{b:>3} {'#' * c}" for b, c in sorted({b * 10: sum(b * 10 <= d < b * 10 + 10 for d in data) // 10 for b in range(10)}.items())), sep="\n")
