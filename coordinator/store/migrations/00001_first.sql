-- +goose Up
CREATE TABLE users (
	id         TEXT PRIMARY KEY,
	name       TEXT NOT NULL,
	email      TEXT NOT NULL,
	created_at TIMESTAMP NOT NULL
);

CREATE TABLE organizations (
	id         TEXT PRIMARY KEY,
	name       TEXT NOT NULL,
	created_by TEXT NOT NULL REFERENCES users (id),
	personal   BOOLEAN NOT NULL,
	created_at TIMESTAMP NOT NULL,
	updated_at TIMESTAMP NOT NULL
);

CREATE TABLE api_keys (
	hash            TEXT PRIMARY KEY, -- hex SHA-256 of the key
	prefix          TEXT NOT NULL,
	suffix          TEXT NOT NULL,
	name            TEXT NOT NULL,
	organization_id TEXT NOT NULL REFERENCES organizations (id),
	user_id         TEXT NOT NULL REFERENCES users (id),
	permissions     TEXT NOT NULL, -- JSON list
	created_at      TIMESTAMP NOT NULL,
	last_used_at    TIMESTAMP,
	expires_at      TIMESTAMP,
	UNIQUE (organization_id, user_id, name)
);

CREATE TABLE snapshots (
	id         TEXT PRIMARY KEY,
	name       TEXT NOT NULL UNIQUE,
	image      TEXT NOT NULL,
	cpu        INTEGER NOT NULL,
	memory     INTEGER NOT NULL, -- GiB, as disk
	disk       INTEGER NOT NULL,
	created_at TIMESTAMP NOT NULL
);

CREATE TABLE sandboxes (
	id               TEXT PRIMARY KEY,
	organization_id  TEXT NOT NULL REFERENCES organizations (id),
	name             TEXT NOT NULL,
	region           TEXT NOT NULL,
	runner           TEXT NOT NULL,
	snapshot         TEXT NOT NULL,
	image            TEXT NOT NULL,
	os_user          TEXT NOT NULL,
	env              TEXT NOT NULL, -- JSON object, as labels
	labels           TEXT NOT NULL,
	public           BOOLEAN NOT NULL,
	cpu              INTEGER NOT NULL,
	memory           INTEGER NOT NULL, -- GiB, as disk
	disk             INTEGER NOT NULL,
	auto_stop        INTEGER NOT NULL, -- minutes, as the other intervals
	auto_archive     INTEGER NOT NULL,
	auto_delete      INTEGER NOT NULL,
	state            TEXT NOT NULL,
	desired          TEXT NOT NULL,
	reason           TEXT NOT NULL,
	daemon_version   TEXT NOT NULL,
	preview_token    TEXT NOT NULL,
	created_at       TIMESTAMP NOT NULL,
	updated_at       TIMESTAMP NOT NULL,
	last_activity_at TIMESTAMP NOT NULL,
	state_at         TIMESTAMP NOT NULL,
	destroy_at       TIMESTAMP
);

-- A name is free as soon as its sandbox is wanted gone.
CREATE UNIQUE INDEX sandboxes_live_name ON sandboxes (organization_id, name) WHERE desired <> 'destroyed';
CREATE INDEX sandboxes_runner ON sandboxes (runner);
CREATE INDEX sandboxes_activity ON sandboxes (organization_id, last_activity_at, id);

-- Labels once more, one a row, for filters.
CREATE TABLE sandbox_labels (
	sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
	label      TEXT NOT NULL,
	value      TEXT NOT NULL,
	PRIMARY KEY (sandbox_id, label)
);
CREATE INDEX sandbox_labels_pair ON sandbox_labels (label, value);

-- +goose Down
DROP TABLE sandbox_labels;
DROP TABLE sandboxes;
DROP TABLE snapshots;
DROP TABLE api_keys;
DROP TABLE organizations;
DROP TABLE users;
