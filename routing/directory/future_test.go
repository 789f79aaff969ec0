package directory

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// grown adds a field that nobody knows to each object of a JSON text.
func grown(t *testing.T, text []byte) []byte {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	var grow func(any)
	grow = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, inner := range v {
				grow(inner)
			}
			v["of_the_next_release"] = map[string]any{"list": []int{1, 2}}
		case []any:
			for _, inner := range v {
				grow(inner)
			}
		}
	}
	grow(v)
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatTheNextReleaseAddsIsPassedOver(t *testing.T) {
	room := Room{Name: "algebra", Title: "Algebra", Home: "fra-1", Epoch: 9, Opened: time.Unix(1_790_000_000, 0).UTC()}
	do := command{Client: "c", Seq: 1, Op: opOpen, Room: "algebra", Node: "fra-1", Opened: room.Opened}
	for name, value := range map[string]any{
		"request to do":    &request{Do: &do},
		"request to watch": &request{Watch: &watch{After: 7}},
		"reply":            &reply{Result: &result{Code: codeStale, Room: room, Index: 9}, Leader: "fra-1"},
		"news":             &news{update: update{Index: 9, Set: []Room{room}, Gone: []string{"old"}, Full: true}, More: true, Leader: "fra-1"},
	} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var framed bytes.Buffer
		if err := writeFrame(&framed, json.RawMessage(grown(t, text))); err != nil {
			t.Fatal(err)
		}
		got := reflect.New(reflect.TypeOf(value).Elem()).Interface()
		if err := readFrame(&framed, got); err != nil || !reflect.DeepEqual(got, value) {
			t.Errorf("%s is read as %+v, %v", name, got, err)
		}
	}
	entry, err := json.Marshal(do)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeCommand(seal(grown(t, entry))); err != nil || !reflect.DeepEqual(got, do) {
		t.Errorf("the log's entry is read as %+v, %v", got, err)
	}
	m := newMachine()
	m.apply(1, &do)
	state, err := json.Marshal(m.image())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readImage(bytes.NewReader(grown(t, state))); err != nil || !reflect.DeepEqual(got, m.image()) {
		t.Errorf("the state is read as %+v, %v", got, err)
	}
}

// These texts are what release 0.1.0 writes into its log and its snapshots. Every later one must read them.
func TestWhatTheFirstReleaseWroteIsRead(t *testing.T) {
	opened := time.Unix(1_790_000_000, 0).UTC()
	c, err := decodeCommand([]byte(`{"client":"fra-1/1","seq":3,"op":"claim","room":"algebra","node":"fra-1","previous":7}`))
	if want := (command{Client: "fra-1/1", Seq: 3, Op: opClaim, Room: "algebra", Node: "fra-1", Previous: 7}); err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("command %+v, %v", c, err)
	}
	i, err := readImage(bytes.NewReader([]byte(`{"version":1,"index":9,"rooms":[{"name":"algebra","title":"Algebra","home":"fra-1","epoch":9,` +
		`"opened":"2026-09-21T14:13:20Z"}],"sessions":[{"client":"fra-1/1","seq":3,"result":{"code":"stale","index":9}}]}`)))
	want := image{
		Version: 1, Index: 9, Rooms: []Room{{Name: "algebra", Title: "Algebra", Home: "fra-1", Epoch: 9, Opened: opened}},
		Sessions: []session{{Client: "fra-1/1", Seq: 3, Result: result{Code: codeStale, Index: 9}}},
	}
	if err != nil || !reflect.DeepEqual(i, want) {
		t.Errorf("state %+v, %v", i, err)
	}
}
