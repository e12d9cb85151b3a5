// Package static holds the style sheet, icon and scripts of the pages, and serves them so that browsers may keep them for good.
//
// It owns the files and the addresses they have. Which page loads which file is the business of package pages; where the handler
// is mounted, and which headers every answer carries, is that of package web.
package static
