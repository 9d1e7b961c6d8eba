import numpy as np
from sklearn import datasets
iris = datasets.load_iris()
print(iris.data.shape, iris.target_names)
# %%
from sklearn.model_selection import train_test_split
X_train, X_test, y_train, y_test = train_test_split(iris.data, iris.target, random_state=0, stratify=iris.target)
print(X_train.shape, np.bincount(y_test))
# %%
from sklearn.linear_model import LogisticRegression
model = LogisticRegression(max_iter=500).fit(X_train, y_train)
print(round(model.score(X_test, y_test), 4))
# %%
print(model.coef_.shape, np.round(model.predict_proba(X_test[:1]).sum(), 6))
# %%
from sklearn.metrics import classification_report, confusion_matrix
print(confusion_matrix(y_test, model.predict(X_test)))
# %%
print(classification_report(y_test, model.predict(X_test), target_names=iris.target_names))
# %%
from sklearn.tree import DecisionTreeClassifier, export_text
tree = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X_train, y_train)
print(export_text(tree, feature_names=list(iris.feature_names)))
# %%
from sklearn.ensemble import RandomForestClassifier
forest = RandomForestClassifier(30, random_state=0, n_jobs=2).fit(X_train, y_train)
print(round(forest.score(X_test, y_test), 4))
# %%
print(np.argsort(forest.feature_importances_)[::-1])
# %%
from sklearn.model_selection import cross_val_score
print(np.round(cross_val_score(tree, iris.data, iris.target, cv=5), 3))
# %%
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
pipe = make_pipeline(StandardScaler(), SVC())
print(round(pipe.fit(X_train, y_train).score(X_test, y_test), 4))
# %%
print(pipe)
# %%
from sklearn.model_selection import GridSearchCV
search = GridSearchCV(pipe, {"svc__C": [0.1, 1, 10]}, cv=3).fit(X_train, y_train)
print(search.best_params_, round(search.best_score_, 4))
# %%
from sklearn.cluster import KMeans
clusters = KMeans(3, n_init=4, random_state=0).fit(iris.data)
print(np.sort(np.bincount(clusters.labels_)))
# %%
from sklearn.decomposition import PCA
pca = PCA(2).fit(iris.data)
print(np.round(pca.explained_variance_ratio_, 4))
# %%
from sklearn.linear_model import LinearRegression
rng = np.random.default_rng(0)
x = rng.uniform(size=(100, 1))
line = LinearRegression().fit(x, 3 * x[:, 0] + 1)
print(np.round(line.coef_, 6), round(line.intercept_, 6))
# %%
from sklearn.feature_extraction.text import CountVectorizer
words = CountVectorizer().fit(["the cat sat", "the dog ran"])
print(list(words.get_feature_names_out()))
# %%
import pickle
print(np.array_equal(pickle.loads(pickle.dumps(tree)).predict(X_test), tree.predict(X_test)))
# %%
from sklearn.exceptions import NotFittedError
try:
    LinearRegression().predict(x)
except NotFittedError as e:
    print(type(e).__name__)
# %%
from sklearn.metrics import r2_score
print(round(r2_score(3 * x[:, 0] + 1, line.predict(x)), 6))
line
