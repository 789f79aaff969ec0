package arch

import (
	"regexp"
	"strings"
	"testing"
)

func TestReadmeNamesEveryDependency(t *testing.T) {
	readme := text(t, "README.md")
	requirement := regexp.MustCompile(`(?m)^\s*(?:require\s+)?([a-z0-9.-]+\.[a-z]+/\S+|go\.\S+)\s+v\S+$`)
	found := requirement.FindAllStringSubmatch(text(t, "go.mod"), -1) // lines of indirect ones end with a comment
	if len(found) == 0 {
		t.Fatal("go.mod names no dependency; the check would look at nothing")
	}
	for _, m := range found {
		// The parts of one repository, such as koanf's parsers, are named together.
		name := strings.Join(strings.SplitN(m[1], "/", 4)[:min(3, strings.Count(m[1], "/")+1)], "/")
		if !strings.Contains(readme, strings.TrimPrefix(name, "github.com/")) {
			t.Errorf("README.md does not name the dependency %s: say there in a few words why we have it", m[1])
		}
	}
}

// foreign are texts that only make sense on the machine where they were written, or that send everyone to one host for
// packages. The expressions are split so that this file does not match itself.
var foreign = map[string]*regexp.Regexp{
	"a path of a build machine":    regexp.MustCompile(`(?:^|[\s"'=(:` + "`" + `])/(?:` + `wo` + `rk|ro` + `ot|ho` + `me/[a-z]\w*|Us` + `ers/\w+)/[\w.-]+`),
	"a host of a package registry": regexp.MustCompile(`pro` + `xy\.golang\.org|regi` + `stry\.npmjs\.org|de` + `b\.debian\.org|py` + `pi\.org|goproxy\.\w+`),
}

func TestNothingBelongsToOneMachine(t *testing.T) {
	for _, path := range sources(t) {
		for i, line := range strings.Split(text(t, path), "\n") {
			for what, re := range foreign {
				if m := re.FindString(line); m != "" {
					t.Errorf("%s:%d names %s: %q", path, i+1, what, strings.TrimSpace(m))
				}
			}
		}
	}
}

func TestCIRunsWhatPeopleRun(t *testing.T) {
	if !strings.Contains(text(t, ".ci/run"), "make test\n") {
		t.Error(".ci/run must run make test and nothing else, so that CI and people check the same")
	}
}
