package geo

import "testing"

func TestEveryCountryHasItsPlace(t *testing.T) {
	table := countries()
	if len(table) != 250 { // the 249 of ISO 3166-1 and XK
		t.Errorf("%d countries", len(table))
	}
	for code, c := range table {
		if len(code) != 2 || c.name == "" || !c.point.Valid() || c.point.IsZero() {
			t.Errorf("%s: %+v", code, c)
		}
	}
}

func TestNeighboursAreNear(t *testing.T) {
	table := countries()
	for pair, most := range map[[2]string]float64{
		{"IN", "LK"}: 2000, {"FR", "DE"}: 700, {"BR", "PY"}: 1500, {"US", "CA"}: 1300, {"AU", "NZ"}: 2800,
		{"ES", "PT"}: 500, {"SG", "MY"}: 400, {"KE", "TZ"}: 700, {"CN", "MN"}: 2000, {"FJ", "WS"}: 1200,
		{"GB", "IE"}: 500, {"JP", "KR"}: 1000, {"ZA", "LS"}: 300, {"CL", "AR"}: 1100, {"EG", "IL"}: 500,
	} {
		if km := table[pair[0]].point.Kilometres(table[pair[1]].point); km > most {
			t.Errorf("%v: %.0f km", pair, km)
		}
	}
}

func TestDamagedTablesAreRefused(t *testing.T) {
	for _, bad := range []string{"IN,1,2", "IN,x,2,India", "IN,1,x,India", `IN,1,2,"India`} {
		if _, err := parseCountries([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
