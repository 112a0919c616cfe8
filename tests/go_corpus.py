"""Go as people write it; the texts of `OUTSIDE` are no Go, or the few things that the language go leaves out."""

FILE = """\
// Package queue keeps jobs in order.
package queue

import (
	"context"
	"errors"
	"fmt"
	log "log/slog"
	_ "net/http/pprof"
	"sync"
	"time"
)

/*
Limits of a queue.
*/
const (
	KB = 1 << (10 * (iota + 1)) // a kilobyte
	MB
	timeout = 1_500 * time.Millisecond
	mask    = 0xFF_FF &^ 0b1010
	ratio   = .5e-3 + 1i
)

var (
	ErrFull  = errors.New("queue: full")
	registry = map[string][]int{"a": {1, 2, 3}, "b": nil}
	points   = [...]struct{ X, Y float64 }{{1, 2}, {X: 3, Y: 4}}
)

// Number is what can be added.
type Number interface {
	~int | ~int64 | ~float64
}

type (
	ID     = string
	Handler func(ctx context.Context, job *Job) (result any, err error)
)

type Job struct {
	sync.Mutex
	*log.Logger
	ID       ID     `json:"id,omitempty" db:"job_id"`
	retries  int    // so far
	a, b     []byte
	done     chan<- struct{}
	callback func(int) error
}

type Tree[K interface{ comparable }, V any] struct {
	left, right *Tree[K, V]
	values      map[K]V
}

func Sum[T Number](values ...T) (total T) {
	for _, v := range values {
		total += v
	}
	return
}

func (t *Tree[K, V]) Each(visit func(K, V) bool) {
	if t == nil {
		return
	}
	for k, v := range t.values {
		if !visit(k, v) {
			break
		}
	}
}

func (j *Job) Run(ctx context.Context, names []string, opts ...func(*Job)) error {
	defer func() {
		if r := recover(); r != nil {
			fmt.Printf("panic: %v\\n", r)
		}
	}()
	j.Lock()
	defer j.Unlock()
	ch := make(chan int, 10)
	go func(out chan<- int) { out <- 1 }(ch)
outer:
	for i := 0; i < len(names); i++ {
		switch n := names[i]; {
		case n == "", len(n) > 10 && n[0] == '\\'':
			continue outer
		case n[1:] == "x" || n[:len(n)-1] != `raw "text"
over lines`:
			fallthrough
		default:
			goto end
		}
	}
	select {
	case v, ok := <-ch:
		if !ok {
			return ErrFull
		} else if v < -1 {
			return fmt.Errorf("value %d: %w", v, ErrFull)
		}
	case <-ctx.Done():
		return ctx.Err()
	case ch <- 2:
	default:
	}
	var x interface{} = j
	switch t := x.(type) {
	case nil:
	case *Job, fmt.Stringer:
		_ = t
	case func() error:
	}
	p := &Job{ID: "7", retries: 1,
		callback: func(n int) error { return nil },
	}
	if (p == &Job{}) {
		*p = *j
	}
	total := Sum[int](1, 2, 3) + int(float64(-p.retries)*ratio)
	total <<= 2; total++
	b := []byte("x")
	b = append(b, []byte{0x1, '\\n', '\\u00e9'}...)
	result, err := j.client().
		With(names...).
		Do(ctx)
	if err != nil || result.(int) >= 0 {
		for range 3 {
			time.Sleep(timeout)
		}
	}
	for len(b) > 0 {
		b = b[1:len(b):cap(b)]
	}
end:
	return nil
}
"""

STATEMENTS = [
    "x := 1",
    "if err := f(); err != nil { return err }",
    "for { break }",
    "a, b = b, a; i--",
    "var f func(a, b int, rest ...string) (int, error) = nil",
    "ch <- <-in",
    "if x == (T{1}) {\n}",
    "for i := range []int{1, 2} { println(i) }",
    "m[Key{1, 2}] = struct{}{}",
    "type pair[A, B any] struct { a A; b B }",
    "f(func() { g() }, w+-a.b, x - -y)",
    'b = append(append(b, "a"+name...), *p...); g(unsafe.Pointer(&*q), 5*µs)',
]

OUTSIDE = [
    "x := 1 y := 2",
    "if x {\n}\nelse {\n}",
    "if x == T{1} {\n}",
    "return x\n+ y)",
    "func := 1",
    "vara int",
    "x = a--b",
    "x = 'ab'",
    "x = 08",
    'x = "a\nb"',
    "for i := 0; i < 3; i := 1 {\n}",
    "defer f",
    "var x",
    "switch x { y() }",
    "f(a b)",
    "f(1...)",
    "x = 1 /* never closed",
]
