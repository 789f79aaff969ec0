package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"lyceum/cmd/node"
)

// envPrefix begins the environment variable of every key: http.listen is LYCEUM_HTTP_LISTEN.
const envPrefix = "LYCEUM_"

// load reads a node's configuration from a file, then the environment, then flags; the later wins. Keys that do not
// exist are errors, and the result is complete and valid.
func load(path string, environ []string, flags *pflag.FlagSet) (node.Config, error) {
	var cfg node.Config
	k := koanf.New(".")
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return cfg, fmt.Errorf("there is no configuration file %s", path)
			}
			return cfg, fmt.Errorf("read %s: %w", path, err)
		}
		if err := unknownKeys(k.Raw(), reflect.TypeFor[node.Config](), ""); err != nil {
			return cfg, fmt.Errorf("%s: %w", path, err)
		}
	}
	keys := map[string]reflect.Type{}
	leaves(reflect.TypeFor[node.Config](), "", keys)
	byEnv := map[string]string{}
	for key := range keys {
		byEnv[envPrefix+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))] = key
	}
	var unknown []error
	err := k.Load(env.Provider(".", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			key, ok := byEnv[name]
			if !ok {
				unknown = append(unknown, unknownKey("environment variable", name, slices.Sorted(maps.Keys(byEnv))))
				return "", nil
			}
			return key, value
		},
	}), nil)
	if err = errors.Join(append(unknown, err)...); err != nil {
		return cfg, err
	}
	if flags != nil {
		p := posflag.ProviderWithFlag(flags, ".", k, func(f *pflag.Flag) (string, any) {
			if _, ok := keys[f.Name]; !ok || !f.Changed {
				return "", nil
			}
			return f.Name, f.Value.String()
		})
		if err := k.Load(p, nil); err != nil {
			return cfg, fmt.Errorf("read flags: %w", err)
		}
	}
	err = k.UnmarshalWithConf("", &cfg, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		TagName: "koanf", WeaklyTypedInput: true,
		DecodeHook: mapstructure.StringToSliceHookFunc(","),
	}})
	where := path
	if path == "" {
		where = "configuration (--config names no file)"
	}
	if err != nil {
		// The decoder puts its errors, one to a line, below a heading of its own.
		_, list, found := strings.Cut(err.Error(), "\n\n")
		if !found {
			list = err.Error()
		}
		return cfg, fmt.Errorf("%s:\n%s", where, list)
	}
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return cfg, fmt.Errorf("%s:\n%w", where, err)
	}
	return cfg, nil
}

// configFlags adds a flag for every key that is not a list of structures.
func configFlags(flags *pflag.FlagSet) {
	keys := map[string]reflect.Type{}
	leaves(reflect.TypeFor[node.Config](), "", keys)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if keys[key].Kind() != reflect.Slice || keys[key].Elem().Kind() == reflect.String {
			flags.String(key, "", "or "+envPrefix+strings.ToUpper(strings.ReplaceAll(key, ".", "_")))
		}
	}
}

// leaves lists the dotted keys of a configuration structure.
func leaves(t reflect.Type, prefix string, into map[string]reflect.Type) {
	for f := range t.Fields() {
		key := prefix + f.Tag.Get("koanf")
		if f.Type.Kind() == reflect.Struct {
			leaves(f.Type, key+".", into)
			continue
		}
		into[key] = f.Type
	}
}

// unknownKeys compares what a file says with what a structure has.
func unknownKeys(raw any, t reflect.Type, path string) error {
	switch t.Kind() {
	case reflect.Slice:
		list, _ := raw.([]any)
		var errs []error
		for i, item := range list {
			errs = append(errs, unknownKeys(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i)))
		}
		return errors.Join(errs...)
	case reflect.Struct:
	default:
		return nil
	}
	m, ok := raw.(map[string]any)
	if !ok {
		if raw == nil {
			return nil
		}
		return fmt.Errorf("key %s has a value where keys of its own belong", path)
	}
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		fields[f.Tag.Get("koanf")] = f.Type
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(m)) {
		full := strings.TrimPrefix(path+"."+name, ".")
		ft, ok := fields[name]
		if !ok {
			errs = append(errs, unknownKey("key", full, qualified(path, slices.Sorted(maps.Keys(fields)))))
			continue
		}
		errs = append(errs, unknownKeys(m[name], ft, full))
	}
	return errors.Join(errs...)
}

func qualified(path string, names []string) []string {
	for i, n := range names {
		names[i] = strings.TrimPrefix(path+"."+n, ".")
	}
	return names
}

// unknownKey is the error for a name that does not exist, with the nearest that does.
func unknownKey(what, name string, known []string) error {
	nearest := slices.MinFunc(known, func(a, b string) int {
		return levenshtein.ComputeDistance(name, a) - levenshtein.ComputeDistance(name, b)
	})
	return fmt.Errorf("%s %s does not exist; the nearest is %s", what, name, nearest)
}
