// Package naming says what people may call the things they make: sandboxes and keys.
package naming
