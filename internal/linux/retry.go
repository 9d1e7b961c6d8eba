package linux

import "golang.org/x/sys/unix"

// Retry makes a system call again while a signal interrupts it.
func Retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// RetryValue is Retry for calls that return a value, such as a descriptor or a number of bytes.
func RetryValue[T any](call func() (T, error)) (T, error) {
	for {
		if v, err := call(); err != unix.EINTR {
			return v, err
		}
	}
}
