package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// module is the path of the module in go.mod.
const module = "lyceum"

// root is the folder of the repository.
var root = filepath.Join("..", "..")

// pkg is a package as go list tells it. Paths of this module are shortened to the folder.
type pkg struct {
	Folder      string // "mesh/link"
	Name        string
	Imports     []string // of this module's packages, shortened
	TestImports []string // likewise, of the tests alone
	Files       []string // non-test Go files, from root, whatever their build tags
	Tests       []string // test files, likewise
}

// packages lists the tree once for all tests.
func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("go list knows %d packages; the checks would look at nothing", len(all))
	}
	return all
}

var list = sync.OnceValues(func() ([]pkg, error) {
	// -e lists packages that do not build as well: the compiler says better what is wrong with them.
	cmd := exec.Command("go", "list", "-e", "-tags", "browser", "-json=ImportPath,Name,Imports,TestImports,XTestImports,"+
		"GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(err, errors.New(stderr.String()))
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l struct {
			ImportPath, Name                                                                                 string
			Imports, TestImports, XTestImports, GoFiles, CgoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string
		}
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		if strings.Contains(l.ImportPath, "/node_modules/") {
			continue
		}
		p := pkg{Folder: strings.TrimPrefix(l.ImportPath, module+"/"), Name: l.Name}
		p.Imports = ours(l.Imports)
		p.TestImports = ours(append(l.TestImports, l.XTestImports...))
		for _, f := range append(append(l.GoFiles, l.CgoFiles...), l.IgnoredGoFiles...) {
			if strings.HasSuffix(f, "_test.go") {
				p.Tests = append(p.Tests, filepath.Join(p.Folder, f))
			} else {
				p.Files = append(p.Files, filepath.Join(p.Folder, f))
			}
		}
		for _, f := range append(l.TestGoFiles, l.XTestGoFiles...) {
			p.Tests = append(p.Tests, filepath.Join(p.Folder, f))
		}
		all = append(all, p)
	}
})

// ours keeps the imports of this module.
func ours(imports []string) (short []string) {
	for _, i := range imports {
		if s, ok := strings.CutPrefix(i, module+"/"); ok {
			short = append(short, s)
		}
	}
	return short
}

// text reads a file of the repository.
func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sources are the paths of all text files that people write, from root. What is made or fetched is not among them.
func sources(t *testing.T) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			switch d.Name() {
			case ".git", ".tools", "bin", "node_modules", "dist", "testdata", "artefacts":
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(path) {
		case ".go", ".ts", ".tsx", ".css", ".html", ".md", ".yml", ".yaml", ".json", ".service", ".sh", "":
			if d.Name() != "LICENSE" && !binary(path) {
				paths = append(paths, rel)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// binary reports whether a file holds a NUL byte early on.
func binary(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	head := make([]byte, 8000)
	n, _ := io.ReadFull(f, head)
	return bytes.IndexByte(head[:n], 0) >= 0
}
