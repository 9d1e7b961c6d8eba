import sqlite3
db = sqlite3.connect(":memory:")
db.row_factory = sqlite3.Row
print(db.execute("select 1 + 1").fetchone()[0])
# %%
db.executescript("""
create table author(id integer primary key, name text not null unique);
create table book(id integer primary key, author integer references author, title text, year int, price real);
""")
print([r["name"] for r in db.execute("select name from sqlite_master where type = 'table' order by 1")])
# %%
authors = ["Kafka", "村上", "Woolf", "O'Brien"]
db.executemany("insert into author(name) values (?)", [(a,) for a in authors])
print(db.total_changes)
# %%
import random
random.seed(9)
for i in range(200):
    db.execute("insert into book(author, title, year, price) values (?, ?, ?, ?)",
               (random.randint(1, 4), f"book {i}", random.randint(1900, 2020), round(random.uniform(3, 40), 2)))
db.commit()
print(db.execute("select count(*) from book").fetchone()[0])
# %%
for row in db.execute("select name, count(*) n, round(avg(price), 2) p from book join author on author.id = book.author group by name order by n desc, name"):
    print(dict(row))
# %%
print(tuple(db.execute("select min(year), max(year) from book").fetchone()))
# %%
for row in db.execute("select year / 10 * 10 decade, count(*) from book group by 1 order by 1 limit 4"):
    print(tuple(row))
# %%
try:
    db.execute("insert into author(name) values ('Kafka')")
except sqlite3.IntegrityError as e:
    print(e)
# %%
with db:
    db.execute("update book set price = price * 2 where author = 1")
print(round(db.execute("select sum(price) from book where author = 1").fetchone()[0], 2))
# %%
try:
    with db:
        db.execute("delete from book")
        raise RuntimeError("back")
except RuntimeError as e:
    print(e, db.execute("select count(*) from book").fetchone()[0])
# %%
db.create_function("shout", 1, lambda s: s.upper() + "!")
print(db.execute("select shout(name) from author order by id").fetchone()[0])
# %%
class Product:
    def __init__(self):
        self.p = 1
    def step(self, v):
        self.p *= v
    def finalize(self):
        return self.p
db.create_aggregate("product", 1, Product)
print(db.execute("select product(id) from author").fetchone()[0])
# %%
print([tuple(r) for r in db.execute("select title, rank() over (order by price desc) r from book limit 3")])
# %%
print([r[0] for r in db.execute("with recursive n(i) as (select 1 union all select i * 2 from n where i < 100) select i from n")])
# %%
db.execute("create index by_year on book(year)")
print("by_year" in db.execute("explain query plan select * from book where year = 1950").fetchone()["detail"])
# %%
print(db.execute("select json_extract('{\"a\":[1,2]}', '$.a[1]')").fetchone()[0])
# %%
import os, tempfile
path = os.path.join(tempfile.mkdtemp(), "copy.db")
with sqlite3.connect(path) as copy:
    db.backup(copy)
print(copy.execute("select count(*) from book").fetchone()[0], os.path.getsize(path) > 0)
# %%
copy.close()
try:
    copy.execute("select 1")
except sqlite3.ProgrammingError as e:
    print(e)
# %%
print(len(list(db.iterdump())) > 200, list(db.iterdump())[0])
# %%
import pandas as pd
print(pd.read_sql_query("select name, year, price from book join author on author.id = book.author order by book.id limit 5", db))
