package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed all:dist
var built embed.FS

// New makes the handler of the pages: "/", "/teach/{room}", "/watch/{room}" and "/assets/"; every other path is 404.
// Which page is shown is decided by the script in the browser, so all three answer the same document; whether the room
// exists is asked of the API, with the token that only the browser knows.
func New(cfg Config) (http.Handler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	files, err := load(built)
	if err != nil {
		return nil, fmt.Errorf("load the embedded pages: %w", err)
	}
	shell, ok := files["index.html"]
	if !ok {
		return nil, errors.New("load the embedded pages: index.html is missing; run `npm run build` in edge/page/web")
	}

	mux := http.NewServeMux()
	for _, pattern := range []string{"GET /{$}", "GET /teach/{room}", "GET /watch/{room}"} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			// A new version of the binary must show at the next visit; the unchanged one costs a 304.
			w.Header().Set("Cache-Control", "no-cache")
			shell.serve(w, r)
		})
	}
	mux.HandleFunc("GET /assets/{name}", func(w http.ResponseWriter, r *http.Request) {
		asset, ok := files["assets/"+r.PathValue("name")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		// The name carries a hash of the content.
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		asset.serve(w, r)
	})
	return guard(cfg, mux), nil
}

// guard sets the headers that every answer carries.
func guard(cfg Config, next http.Handler) http.Handler {
	ancestors := "'none'"
	if len(cfg.FrameAncestors) > 0 {
		ancestors = strings.Join(cfg.FrameAncestors, " ")
	}
	policy := strings.Join([]string{
		"default-src 'self'",
		// A student is sent to whichever node is near, so fetch may reach any host; scripts and styles come from here only.
		"connect-src *",
		"media-src 'self' blob:",
		"img-src 'self' blob:",
		"object-src 'none'",
		"base-uri 'none'",
		"form-action 'self'",
		"frame-ancestors " + ancestors,
	}, "; ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self), geolocation=(), payment=(), usb=()")
		next.ServeHTTP(w, r)
	})
}

// file is one embedded file, ready to be sent.
type file struct {
	mediaType string
	tag       string
	plain     []byte
	packed    []byte // gzip; nil when that saves nothing
}

// load reads and compresses every file below dist, keyed by its path there.
func load(from fs.FS) (map[string]*file, error) {
	dist, err := fs.Sub(from, "dist")
	if err != nil {
		return nil, err
	}
	files := make(map[string]*file)
	err = fs.WalkDir(dist, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		plain, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		packed, err := pack(plain)
		if err != nil {
			return fmt.Errorf("compress %s: %w", name, err)
		}
		sum := sha256.Sum256(plain)
		files[name] = &file{mediaType: mediaType(name), tag: hex.EncodeToString(sum[:12]), plain: plain, packed: packed}
		return nil
	})
	return files, err
}

func pack(plain []byte) ([]byte, error) {
	var packed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := writer.Write(plain); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	if packed.Len() >= len(plain) {
		return nil, nil
	}
	return packed.Bytes(), nil
}

// mediaType answers the types that the build produces itself: those of the operating system's tables differ between
// machines, and a script with a wrong type does not run under nosniff.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	if known := mime.TypeByExtension(path.Ext(name)); known != "" {
		return known
	}
	return "application/octet-stream"
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	body, tag := f.plain, `"`+f.tag+`"`
	if f.packed != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			body, tag = f.packed, `"`+f.tag+`-gzip"`
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", tag)
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	// The server leaves the body out for HEAD; a client that went away needs no answer.
	_, _ = w.Write(body)
}

// acceptsGzip reads the header as far as it matters: gzip is named and not refused.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			weight, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(quality), "q="), 64)
			return err != nil || weight > 0
		}
	}
	return false
}
