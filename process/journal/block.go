package journal

import "sync"

// blocks are buffers of blockSize bytes, for blocks in memory and for reading.
var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

func newBlock() []byte { return blocks.Get().(*[blockSize]byte)[:] }

// freeBlock gives a buffer back. Smaller buffers, which Settle makes, are left to the garbage collector.
func freeBlock(b []byte) {
	if cap(b) == blockSize {
		blocks.Put((*[blockSize]byte)(b[:blockSize]))
	}
}
