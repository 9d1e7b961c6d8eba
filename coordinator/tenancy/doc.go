// Package tenancy knows who may do what: organisations, users and API keys.
//
// An installation begins with one user, its personal organisation and one key with all permissions (Manager.Begin).
// Keys are stored as SHA-256; the plain key is shown once. A key belongs to one user in one organisation.
package tenancy
