package strictjson

import (
	"encoding/json"
	"strconv"
	"strings"
)

// maxDigits bounds what Plain writes out of an exponent.
const maxDigits = 400

// Plain writes a number without an exponent and without zeros that say nothing, so that a whole number is known by having no point: 1.0 and
// 1e0 are 1. ok is false where that takes more than 400 digits on a side of the point.
func Plain(n json.Number) (_ string, ok bool) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(n.String()), "e")
	mantissa, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits, point := whole+fraction, len(whole)
	if strings.Trim(digits, "0") == "" {
		return "0", true
	}
	if exponent != "" {
		shift, err := strconv.Atoi(exponent)
		if err != nil || shift > maxDigits || shift < -maxDigits {
			return "", false
		}
		point += shift
	}
	digits = strings.Repeat("0", max(0, 1-point)) + digits + strings.Repeat("0", max(0, point-len(digits)))
	point = max(1, point)
	whole, fraction = strings.TrimLeft(digits[:point], "0"), strings.TrimRight(digits[point:], "0")
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if negative {
		whole = "-" + whole
	}
	return whole, true
}
