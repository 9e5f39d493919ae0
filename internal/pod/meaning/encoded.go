package meaning

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"strings"
	"unicode/utf8"
)

// minEncoded is the length from which text is tried as base64, as in package mask.
const minEncoded = 16

// base64 reads base64 of what itself encodes something, also compressed, and over
// several lines. Whatever else has the alphabet, such as a token, does not.
func (d *decoder) base64(text string, at nesting) (Value, bool) {
	if len(text) < minEncoded {
		return Value{}, false
	}
	for i := range len(text) {
		if c := text[i]; !base64Byte(c) && c != '\n' && c != '\r' {
			return Value{}, false
		}
	}
	if !d.spend(len(text)) {
		return Value{}, false
	}
	decoded, ok := decodeBase64(text)
	if !ok {
		return Value{}, false
	}
	if bytes.HasPrefix(decoded, []byte("\x1f\x8b")) {
		if decoded, ok = d.unzip(decoded); !ok {
			return Value{}, false
		}
	}
	if !utf8.Valid(decoded) || bytes.IndexByte(decoded, 0) >= 0 {
		return Value{}, false
	}
	v, ok := d.text(string(decoded), at, true)
	v.raw = nil
	return v, ok
}

func decodeBase64(text string) ([]byte, bool) {
	text = strings.TrimRight(text, "=")
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	decoded, err := encoding.DecodeString(text) // skips line breaks
	return decoded, err == nil
}

// unzip decompresses at most as many bytes as may still be decoded.
func (d *decoder) unzip(compressed []byte) ([]byte, bool) {
	r, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, false
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(d.bytes)+1))
	return text, d.spend(len(text)) && err == nil
}

// base64Byte holds for both alphabets of RFC 4648, and padding.
func base64Byte(c byte) bool {
	return letter(c) || digit(c) || c == '+' || c == '/' || c == '-' || c == '_' || c == '='
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func digit(c byte) bool { return c >= '0' && c <= '9' }
