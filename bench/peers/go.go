// SPDX-License-Identifier: ISC

// go.go: goroutines, on GOMAXPROCS workers, with the garbage collector as it is by default.
//
// A goroutine starts with 2 KiB of stack and gets a larger one by a copy when it needs it; the compiler checks at each call, so
// there is no guard page.  `live' and `rss' grow each stack by 4 KiB, as the others touch a page.  Dead goroutines keep their
// descriptors for reuse for good; stacks go back to the heap when the collector runs, and to the system by a scavenger, in
// minutes, or by debug.FreeOSMemory().  It is preemptive.  There is no join: a WaitGroup is what its documentation advises, and
// says nothing about whether the goroutine is off the CPU.  A dead goroutine leaves no zombie.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	batch  = 1000
	sample = 8
	ring   = 1024
)

type cost struct{ cpu, wall float64 }

var (
	spent  cost
	items  float64
	notes  []string
	ran    int64
	json   bool
	budget = 50e6
	idle   = 2500
	adds   int
	late   float64
)

func clock(id uintptr) float64 {
	var t syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&t)), 0)
	return float64(t.Sec)*1e9 + float64(t.Nsec)
}

var began = time.Now()

func wall() float64 { return float64(time.Since(began)) }
func cpu() float64  { return clock(2) } // CLOCK_PROCESS_CPUTIME_ID
func now() cost     { return cost{cpu(), wall()} }

func charge(since cost) {
	t := now()
	spent.cpu += t.cpu - since.cpu
	spent.wall += t.wall - since.wall
}

func note(key string, value float64) {
	notes = append(notes, fmt.Sprintf("%q: %.6g", key, value))
}

func must(well bool, what string) {
	if !well {
		fmt.Fprintln(os.Stderr, "go:", what, "failed")
		os.Exit(1)
	}
}

// Eight a turn, so that it is not the loop's jump that takes the time; of two numbers in turn, as adding one twice is one addition.
//
//go:noinline
func add(n int, one, other uint64) (x uint64) {
	for ; n >= 8; n -= 8 {
		x += one
		x += other
		x += one
		x += other
		x += one
		x += other
		x += one
		x += other
	}
	for ; n > 0; n-- {
		x += one
	}
	return x
}

var sink uint64

func addition() float64 {
	best := 0.0
	for i := 0; i < 3; i++ {
		t := cpu()
		sink = add(1000000, 1, 2)
		t = (cpu() - t) / 1e6
		if i == 0 || t < best {
			best = t
		}
	}
	return best
}

func kib(file, key string) float64 {
	f, err := os.Open(file)
	if err != nil {
		return -1
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), key) {
			v, _ := strconv.ParseFloat(strings.Fields(s.Text())[1], 64)
			return v
		}
	}
	return -1
}

func rss() float64 {
	v := kib("/proc/self/smaps_rollup", "Rss:")
	if v < 0 {
		v = kib("/proc/self/status", "VmRSS:")
	}
	return v
}

func maps() float64 {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return -1
	}
	return float64(strings.Count(string(b), "\n"))
}

func switches(n int) {
	var wg sync.WaitGroup
	wg.Add(1)
	ran = 0
	go func() {
		for i := 0; i < n/2; i++ {
			ran++
			runtime.Gosched()
		}
		wg.Done()
	}()
	for i := 0; i < n/2; i++ {
		runtime.Gosched()
	}
	wg.Wait()
	must(ran == int64(n/2), "counting")
}

func one(n int) {
	var wg sync.WaitGroup
	ran = 0
	for i := 0; i < n; i++ {
		wg.Add(1)
		go func() {
			ran++
			wg.Done()
		}()
		wg.Wait()
	}
	must(ran == int64(n), "counting")
}

// The WaitGroup does the counting: an atomic addition would cost as much as the goroutine's switch.
func live1000(n int) {
	var wg sync.WaitGroup
	for i := 0; i < n; i += batch {
		wg.Add(batch)
		for j := 0; j < batch; j++ {
			go func() {
				runtime.Gosched()
				wg.Done()
			}()
		}
		wg.Wait()
	}
}

func batch1000(n int) {
	var wg sync.WaitGroup
	for i := 0; i < n; i += batch {
		wg.Add(batch)
		for j := 0; j < batch; j++ {
			go func() {
				wg.Done()
			}()
		}
		wg.Wait()
	}
}

// A sync.Pool keeps one object per worker, which is as near as a program gets to asking on which one it runs.
type teller struct{ on int64 }

var (
	tellers [256]*teller
	ntold   int32
	pool    = sync.Pool{New: func() interface{} {
		t := new(teller)
		if i := int(atomic.AddInt32(&ntold, 1)) - 1; i < len(tellers) {
			tellers[i] = t
		}
		return t
	}}
)

func tell() {
	t := pool.Get().(*teller)
	t.on++
	pool.Put(t)
}

func two(burn bool) {
	var wg sync.WaitGroup
	wg.Add(batch)
	for j := 0; j < batch; j++ {
		go func(j int) {
			if burn {
				add(adds, 1, 2)
			}
			if j%sample == 0 {
				tell()
			}
			wg.Done()
		}(j)
	}
	wg.Wait()
}

func twoEmpty(int) { two(false) }
func two1us(int)   { two(true) }

// The collector may take an object away, whose worker then gets a new one: the two that were used most are counted.
func shares() (least, sum int64) {
	var most, next int64
	for i := 0; i < int(atomic.LoadInt32(&ntold)) && i < len(tellers); i++ {
		v := tellers[i].on
		tellers[i].on = 0
		sum += v
		if v > most {
			most, next = v, most
		} else if v > next {
			next = v
		}
	}
	return next, sum
}

// The parent spins, so with two workers the child can only be on the other one, unless the parent is preempted: after 10 ms.
func cross(n int) {
	var wg sync.WaitGroup
	crossed := 0
	for i := 0; i < n; i++ {
		var there int32
		since := wall()
		wg.Add(1)
		go func() {
			atomic.StoreInt32(&there, 1)
			wg.Done()
		}()
		for atomic.LoadInt32(&there) == 0 {
		}
		if wall()-since < 1e7 {
			crossed++
		}
		wg.Wait()
	}
	note("crossed", float64(crossed)/float64(n))
}

//go:noinline
func touch(n int) byte {
	var page [4096]byte
	page[n%len(page)] = 1
	return page[(n*7)%len(page)]
}

var (
	gate chan struct{}
	left sync.WaitGroup
)

func crowd(n int) {
	var arrived sync.WaitGroup
	gate = make(chan struct{})
	arrived.Add(n)
	left.Add(n)
	for i := 0; i < n; i++ {
		go func(i int) {
			touch(i)
			arrived.Done()
			<-gate
			left.Done()
		}(i)
	}
	arrived.Wait()
}

func collect(int) {
	close(gate)
	left.Wait()
}

func live(n int) {
	m, r, p := maps(), rss(), kib("/proc/self/status", "VmPTE:")
	t := now()
	crowd(n)
	charge(t)
	made := spent
	note("maps", maps()-m)
	note("rss_kib", rss()-r)
	note("tables_kib", kib("/proc/self/status", "VmPTE:")-p)
	t = now()
	collect(n)
	charge(t)
	ended := spent
	t = now()
	debug.FreeOSMemory()
	charge(t)
	items = float64(n)
	note("make_cpu_ns", made.cpu/items)
	note("end_cpu_ns", (ended.cpu-made.cpu)/items)
	note("trim_cpu_ns", (spent.cpu-ended.cpu)/items)
}

func burst(n int) {
	r := rss()
	t := now()
	crowd(n)
	note("peak_kib", rss()-r)
	collect(n)
	charge(t)
	items = float64(n)
	note("at_once_kib", rss()-r)
	time.Sleep(time.Duration(idle) * time.Millisecond)
	note("idle_kib", rss()-r)
	crowd(n)
	collect(n)
	debug.FreeOSMemory()
	note("trimmed_kib", rss()-r)
}

func handoff(n int) {
	r := rss()
	t := now()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	deadline := t.wall + budget*20
	ended := make(chan chan struct{}, ring)
	over := make(chan struct{})
	go func() {
		for done := range ended {
			<-done
		}
		close(over)
	}()
	i := 0
	for ; i < n && (i%1024 != 0 || wall() < deadline); i++ {
		done := make(chan struct{})
		go func() { close(done) }()
		ended <- done
	}
	close(ended)
	<-over
	items = float64(i)
	charge(t)
	note("peak_kib", kib("/proc/self/status", "VmHWM:")-r)
}

const (
	timed = iota
	batches
	once
)

var shapes = []struct {
	name    string
	kind    int
	unit    int
	workers int
	run     func(int)
}{
	{"switch", timed, 1000, 1, switches},
	{"life-one", timed, 1000, 1, one},
	{"live-1000", timed, batch, 1, live1000},
	{"batch-1000", timed, batch, 1, batch1000},
	{"two-empty", batches, batch, 2, twoEmpty},
	{"two-1us", batches, batch, 2, two1us},
	{"cross", timed, 100, 2, cross},
	{"live", once, 100000, 1, live},
	{"rss", once, 100000, 1, burst},
	{"handoff", once, 1000000, 2, handoff},
}

func run(shape, n int) float64 {
	s := shapes[shape]
	spent, items, notes = cost{}, 0, nil
	switch s.kind {
	case timed:
		t := now()
		s.run(n)
		charge(t)
		items = float64(n)
	case batches:
		made, counted := 0, 0
		for end := wall() + budget; wall() < end; {
			t := now()
			s.run(s.unit)
			t2 := now()
			made++
			if least, sum := shares(); least*10 >= sum {
				spent.cpu += t2.cpu - t.cpu
				spent.wall += t2.wall - t.wall
				items += float64(s.unit)
				counted++
			}
		}
		note("batches", float64(made))
		note("counted", float64(counted))
	case once:
		s.run(n)
	}
	return spent.wall
}

func size(shape int) int {
	n := shapes[shape].unit
	t := run(shape, n)
	for ; t < budget/4; t = run(shape, n) {
		more := budget / t
		if more > 16 {
			more = 16
		} else if more < 2 {
			more = 2
		}
		n *= int(more)
	}
	n = int(float64(n) * budget / t)
	n -= n % shapes[shape].unit
	if n < shapes[shape].unit {
		n = shapes[shape].unit
	}
	return n
}

func main() {
	shape, count := -1, 0
	for i := 1; i < len(os.Args); i++ {
		switch a := os.Args[i]; {
		case a == "--shapes":
			for _, s := range shapes {
				fmt.Println(s.name)
			}
			return
		case a == "--json":
			json = true
		case a == "--time" && i+1 < len(os.Args):
			i++
			ms, _ := strconv.ParseFloat(os.Args[i], 64)
			budget = ms * 1e6
		case a == "--adds" && i+1 < len(os.Args):
			i++
			v, _ := strconv.ParseFloat(os.Args[i], 64)
			adds = int(v)
		case a == "--idle" && i+1 < len(os.Args):
			i++
			idle, _ = strconv.Atoi(os.Args[i])
		case (a == "--rounds" || a == "--variant") && i+1 < len(os.Args):
			i++
			must(a != "--rounds" || os.Args[i] == "1", "more than one round")
		case shape >= 0:
			count, _ = strconv.Atoi(a)
		default:
			for j, s := range shapes {
				if s.name == a {
					shape = j
				}
			}
			must(shape >= 0, "finding shape "+a)
		}
	}
	must(shape >= 0 && budget > 0, "usage: [--time MS] [--json] SHAPE [COUNT], which")
	runtime.GOMAXPROCS(shapes[shape].workers)
	if adds == 0 {
		adds = int(1000 / addition())
	}
	n := count
	if n <= 0 {
		n = shapes[shape].unit
		if shapes[shape].kind == timed {
			n = size(shape)
		}
	}
	if shapes[shape].kind == batches {
		run(shape, n)
	}
	a := addition()
	run(shape, n)
	if json {
		fmt.Printf("{\"shape\": %q, \"items\": %.0f, \"cpu_ns\": %.0f, \"wall_ns\": %.0f, \"add_ns\": %.4f, \"notes\": {%s}}\n",
			shapes[shape].name, items, spent.cpu, spent.wall, a, strings.Join(notes, ", "))
		return
	}
	per := items
	if per == 0 {
		per = 1
	}
	fmt.Printf("%-12s %10.2f ns CPU %10.2f ns wall %9.1f additions, of %.0f; %s\n", shapes[shape].name, spent.cpu/per,
		spent.wall/per, spent.cpu/per/a, items, strings.Join(notes, "; "))
}
