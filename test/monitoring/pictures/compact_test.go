//go:build monitoring

package pictures

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"slices"
	"testing"
)

// picture is the one in docs/.
const picture = "../../../docs/dashboard.png"

func decoded(t *testing.T, file string) image.Image {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return drawn
}

// compact returns a picture with the 256 colours that most of its pixels have, or are near
// to: a third of the bytes.
func compact(t *testing.T, drawn image.Image) []byte {
	t.Helper()
	bounds := drawn.Bounds()
	// near is the colour at a place, of those of which four in each channel are one.
	near := func(x, y int) color.RGBA {
		r, g, b, _ := drawn.At(x, y).RGBA()
		return color.RGBA{uint8(r>>8) &^ 3, uint8(g>>8) &^ 3, uint8(b>>8) &^ 3, 255}
	}
	pixels := map[color.RGBA]int{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			pixels[near(x, y)]++
		}
	}
	most := slices.SortedFunc(maps.Keys(pixels), func(a, b color.RGBA) int { return cmp.Compare(pixels[b], pixels[a]) })
	var palette color.Palette
	for _, c := range most[:min(256, len(most))] {
		palette = append(palette, c)
	}
	index := map[color.RGBA]uint8{}
	for c := range pixels {
		index[c] = uint8(palette.Index(c))
	}
	small := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			small.SetColorIndex(x, y, index[near(x, y)])
		}
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, small); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// documented compares the picture in docs/ with the one that was drawn: it has its size, as
// a dashboard with another panel, or another arrangement, mostly has not. What differs in
// fonts is another browser's, and no matter.
func documented(t *testing.T, drawn image.Image) {
	t.Helper()
	if *update {
		if err := os.WriteFile(picture, compact(t, drawn), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const most = 300_000
	if info, err := os.Stat(picture); err != nil || info.Size() > most {
		t.Errorf("docs/dashboard.png has not at most %d bytes: %v, %v", most, info, err)
	}
	if is, was := drawn.Bounds(), decoded(t, picture).Bounds(); is != was {
		t.Errorf("the dashboard is drawn as %v, docs/dashboard.png is %v: -update draws that anew", is, was)
	}
}
