package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shapes are names that say a package's shape and not its job.
var shapes = []string{"util", "utils", "common", "helper", "helpers", "manager", "base", "misc", "shared", "types"}

func TestNoPackageIsNamedForItsShape(t *testing.T) {
	for _, p := range packages(t) {
		if slices.Contains(shapes, p.Name) || slices.Contains(shapes, path.Base(p.Folder)) {
			t.Errorf("%s is named for its shape: name it for its job", p.Folder)
		}
	}
}

func TestEveryPackageHasItsSentence(t *testing.T) {
	for _, p := range packages(t) {
		var docs []string
		for _, f := range slices.Concat(p.Files, p.Tests) {
			if file := parse(t, f, parser.PackageClauseOnly); file.Doc != nil && file.Name.Name == p.Name {
				docs = append(docs, file.Doc.Text())
			}
		}
		start := "Package " + p.Name + " "
		if p.Name == "main" {
			start = "Command " + path.Base(p.Folder) + " "
		}
		switch {
		case len(docs) == 0:
			t.Errorf("%s has no package comment: write doc.go, and begin with the sentence %q", p.Folder, start+"...")
		case len(docs) > 1:
			t.Errorf("%s has %d package comments: keep the one in doc.go", p.Folder, len(docs))
		case !strings.HasPrefix(docs[0], start):
			t.Errorf("the package comment of %s does not begin with %q", p.Folder, start)
		case !regexp.MustCompile(`\.(\s|$)`).MatchString(docs[0]):
			t.Errorf("the package comment of %s has no full stop: its beginning must be a whole sentence", p.Folder)
		}
	}
}

// parse reads a Go file of the repository.
func parse(t *testing.T, path string, mode parser.Mode) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, mode|parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
