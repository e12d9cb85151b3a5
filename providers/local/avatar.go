package local

import (
	"hash/fnv"
	"image"
	"image/color"
	"image/png"
	"net/http"
)

// serveAvatar draws a square pattern that depends on the path alone, so that
// the picture addresses in profiles lead to a picture.
func serveAvatar(w http.ResponseWriter, r *http.Request) {
	const cells, size = 6, 16
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(r.URL.Path))
	bits := sum.Sum64()

	ink := color.RGBA{R: uint8(40 + bits%120), G: uint8(40 + bits>>8%120), B: uint8(40 + bits>>16%120), A: 255}
	img := image.NewPaletted(image.Rect(0, 0, cells*size, cells*size), color.Palette{color.RGBA{R: 240, G: 240, B: 240, A: 255}, ink})
	for y := range cells * size {
		for x := range cells * size {
			column := min(x/size, cells-1-x/size) // mirrored, which looks like a face
			if bits>>(uint(y/size*cells/2+column)+20)&1 == 1 {
				img.SetColorIndex(x, y, 1)
			}
		}
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = png.Encode(w, img)
}
