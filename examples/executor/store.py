"""What lasts: one SQLite file, written so that what was acknowledged is on the disk."""

import contextlib
import os
import sqlite3
import threading

from wire import sha

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value);
CREATE TABLE IF NOT EXISTS own_status (seq INTEGER PRIMARY KEY, envelope BLOB);
CREATE TABLE IF NOT EXISTS audit (n INTEGER PRIMARY KEY, record TEXT, head BLOB);
CREATE TABLE IF NOT EXISTS invite (id TEXT PRIMARY KEY, secret BLOB, expires INTEGER, gid TEXT);
CREATE TABLE IF NOT EXISTS root (gid TEXT, version INTEGER, envelope BLOB, PRIMARY KEY (gid, version));
CREATE TABLE IF NOT EXISTS status (gid TEXT, digest BLOB, seq INTEGER, n INTEGER, root_version INTEGER, era INTEGER,
  envelope BLOB, PRIMARY KEY (gid, digest));
CREATE TABLE IF NOT EXISTS revoked (gid TEXT, kid TEXT, since INTEGER, PRIMARY KEY (gid, kid));
CREATE TABLE IF NOT EXISTS quarantine (gid TEXT PRIMARY KEY, evidence BLOB);
CREATE TABLE IF NOT EXISTS jti (gid TEXT, jti TEXT, exp INTEGER, PRIMARY KEY (gid, jti));
CREATE TABLE IF NOT EXISTS run (n INTEGER PRIMARY KEY, run TEXT UNIQUE, gid TEXT, src TEXT, dst TEXT, accept BLOB, body BLOB,
  deadline INTEGER, frames_max INTEGER, bytes_max INTEGER, disclose TEXT, session TEXT, known INTEGER DEFAULT 0,
  called INTEGER DEFAULT 0, reason TEXT, seq INTEGER DEFAULT 0, bytes INTEGER DEFAULT 0, head BLOB, outcome TEXT, ended INTEGER);
CREATE TABLE IF NOT EXISTS key (gid TEXT, src TEXT, dst TEXT, key TEXT, print TEXT, run TEXT, blocked INTEGER,
  PRIMARY KEY (gid, src, dst, key));
CREATE TABLE IF NOT EXISTS frame (run TEXT, seq INTEGER, bytes BLOB, head BLOB, PRIMARY KEY (run, seq)) WITHOUT ROWID;
"""


class Store:
    """SQLite, one connection, one lock. The lock is also what everybody waits with for news."""

    def __init__(self, home):
        self.db = sqlite3.connect(os.path.join(home, "executor.db"), check_same_thread=False, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000;" + SCHEMA)
        self.lock = threading.RLock()
        self.news = threading.Condition(self.lock)

    @contextlib.contextmanager
    def tx(self):
        """A transaction. It is synced when this block has been left, and only then may anybody be told."""
        with self.lock:
            if self.db.in_transaction:  # ours, since we hold the lock: this is a part of it
                yield self.db
                return
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            self.news.notify_all()

    def all(self, query, *values):
        with self.lock:
            return self.db.execute(query, values).fetchall()

    def one(self, query, *values):
        return next(iter(self.all(query, *values)), None)

    def meta(self, name):
        row = self.one("SELECT value FROM meta WHERE name = ?", name)
        return row and row["value"]

    def put(self, **values):
        self.db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    def audit(self, record):
        """Appends to a chain of digests, inside of the caller's transaction. Statuses publish its head."""
        size, head = self.audit_head()
        self.db.execute("INSERT INTO audit VALUES (?, ?, ?)", (size + 1, record, sha(b"audit\n", head, record.encode())))

    def audit_head(self):
        row = self.one("SELECT n, head FROM audit ORDER BY n DESC LIMIT 1")
        return (row["n"], row["head"]) if row else (0, sha(b"audit\n"))
