package arch

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// maxLines is where a file stops to fit in the head.
const maxLines = 600

func TestFilesFitInTheHead(t *testing.T) {
	for _, path := range sources(t) {
		if strings.HasSuffix(path, ".md") || strings.HasSuffix(path, ".json") {
			continue
		}
		if n := strings.Count(text(t, path), "\n"); n > maxLines {
			t.Errorf("%s has %d lines, more than %d: look for the noun hiding in it", path, n, maxLines)
		}
	}
}

// uses reports whether a file uses a name of an imported package.
func uses(file *ast.File, importPath string, names ...string) (found string) {
	local := ""
	for _, i := range file.Imports {
		if p, _ := strconv.Unquote(i.Path.Value); p == importPath {
			local = importPath[strings.LastIndex(importPath, "/")+1:]
			if i.Name != nil {
				local = i.Name.Name
			}
		}
	}
	if local == "" {
		return ""
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == local && slices.Contains(names, s.Sel.Name) {
				found = s.Sel.Name
			}
		}
		return true
	})
	return found
}

func TestNothingSleeps(t *testing.T) {
	for _, p := range packages(t) {
		for _, f := range p.Files {
			if uses(parse(t, f, 0), "time", "Sleep") != "" {
				t.Errorf("%s uses time.Sleep: wait for what you wait for, with a context that can end it", f)
			}
		}
	}
}

func TestMetricsAreInjected(t *testing.T) {
	const (
		client = "github.com/prometheus/client_golang/prometheus"
		auto   = client + "/promauto"
		http   = client + "/promhttp"
	)
	for _, p := range packages(t) {
		for _, f := range p.Files {
			file := parse(t, f, 0)
			name := uses(file, client, "DefaultRegisterer", "DefaultGatherer", "Register", "MustRegister", "Unregister")
			if name == "" {
				name = uses(file, auto, "NewCounter", "NewCounterVec", "NewCounterFunc", "NewGauge", "NewGaugeVec", "NewGaugeFunc",
					"NewHistogram", "NewHistogramVec", "NewSummary", "NewSummaryVec", "NewUntypedFunc")
			}
			if name == "" {
				name = uses(file, http, "Handler")
			}
			if name != "" {
				t.Errorf("%s uses the global registry (%s): take a prometheus.Registerer, so that two nodes fit in one process",
					f, name)
			}
		}
	}
}

func TestNothingStartsAtImport(t *testing.T) {
	for _, p := range packages(t) {
		for _, f := range p.Files {
			for _, d := range parse(t, f, 0).Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s has an init function: whoever needs what it does should call it", f)
				}
			}
		}
	}
}
