package workspace

import "bytes"

// needle is a text to look for. The library's search runs from one occurrence of the text's first byte to the next,
// which is slow where that byte is common; this one goes by the byte of the text that is rarest in writing and
// programs.
type needle struct {
	text []byte
	rare int // place of that byte in text
}

// common are bytes from the commonest on; all others are rarer.
const common = " etaonisrldcumphfg\n.,_-\"()/:;=bywvk0x12TSA\tECINROqjz3456789PLDMFBUGHWVKYXJQZ{}[]<>'*#"

func newNeedle(text string) needle {
	n := needle{text: []byte(text)}
	best := -1
	for i, c := range n.text {
		rank := bytes.IndexByte([]byte(common), c)
		if rank < 0 {
			rank = len(common)
		}
		if rank > best {
			best, n.rare = rank, i
		}
	}
	return n
}

// index is bytes.Index(data, n.text).
func (n *needle) index(data []byte) int {
	last := len(data) - len(n.text) // where the text may begin at most
	c := n.text[n.rare]
	for from, fails := 0, 0; from <= last; fails++ {
		i := bytes.IndexByte(data[from+n.rare:last+n.rare+1], c)
		if i < 0 {
			return -1
		}
		from += i
		if data[from] == n.text[0] && string(data[from:from+len(n.text)]) == string(n.text) {
			return from
		}
		from++
		if fails > 16+from/16 { // not rare here
			i := bytes.Index(data[from:], n.text)
			if i < 0 {
				return -1
			}
			return from + i
		}
	}
	return -1
}
