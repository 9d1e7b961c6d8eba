// Package keyed has locks that are held by key: those who want the same key wait for one another, all others do not.
// It remembers the keys in use alone, so any number of them may come in the course of time.
//
//	unlock, err := locks.Lock(ctx, path)
package keyed
