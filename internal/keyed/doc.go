// Package keyed has one lock per key. Callers with the same key wait for one another; others do not. Only keys in use
// take memory.
//
//	unlock, err := locks.Lock(ctx, path)
package keyed
