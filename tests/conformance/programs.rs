// SPDX-License-Identifier: BSD-2-Clause
//! Rust: its standard library takes all memory from malloc, posix_memalign, calloc, realloc
//! and free. Same command line as the C program's: --list, --allocator, or a case.

use std::alloc::{alloc, alloc_zeroed, dealloc, realloc, Layout};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::c_void;
use std::io::Write;
use std::os::raw::{c_char, c_int};
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Mutex};
use std::{env, panic, process, thread};

const MIB: usize = 1 << 20;

#[repr(C)]
struct RLimit {
    current: u64,
    most: u64,
}

extern "C" {
    fn setrlimit(resource: c_int, limit: *const RLimit) -> c_int;
    fn fmemopen(buffer: *mut c_void, size: usize, mode: *const c_char) -> *mut c_void;
    fn fclose(file: *mut c_void) -> c_int;
    fn malloc_info(options: c_int, file: *mut c_void) -> c_int;
    fn strdup(text: *const c_char) -> *mut c_char;
    fn malloc(size: usize) -> *mut c_void;
    fn free(p: *mut c_void);
}

const RLIMIT_AS: c_int = 9;

/// The same case again in a process with bounded address space.
fn begin_limited(bytes: usize) {
    if env::var_os("CONFORMANCE_LIMITED").is_some() {
        return;
    }
    let limit = RLimit { current: bytes as u64, most: bytes as u64 };
    assert_eq!(unsafe { setrlimit(RLIMIT_AS, &limit) }, 0);
    let error = process::Command::new("/proc/self/exe").args(env::args().skip(1)).env("CONFORMANCE_LIMITED", "1").exec();
    panic!("exec: {}", error);
}

fn filled(bytes: &[u8], seed: usize) -> bool {
    bytes.iter().enumerate().all(|(i, b)| *b == (i * 7 + seed) as u8)
}

fn fill(bytes: &mut [u8], seed: usize) {
    for (i, b) in bytes.iter_mut().enumerate() {
        *b = (i * 7 + seed) as u8;
    }
}

fn growing() -> String {
    let mut v: Vec<u64> = Vec::new();
    for i in 0..4_000_000u64 {
        v.push(i * 3);
    }
    let kept = v.iter().enumerate().all(|(i, x)| *x == i as u64 * 3);
    v.truncate(100);
    v.shrink_to_fit();
    format!("contents kept: {}, {} after shrink_to_fit", kept, v.iter().sum::<u64>())
}

fn collections() -> String {
    let mut map = HashMap::new();
    let mut tree = BTreeMap::new();
    for i in 0..50_000usize {
        map.insert(format!("key {}", i), vec![i as u8; i % 100]);
        tree.insert(i * 7919 % 50_000, Box::new(i));
    }
    map.retain(|_, v| v.len() % 2 == 0);
    format!("{} and {} entries", map.len(), tree.len())
}

fn layouts() -> String {
    let mut align = 1;
    while align <= 2 * MIB {
        for size in [1, 100, 5000, 300_000] {
            unsafe {
                let layout = Layout::from_size_align(size, align).unwrap();
                let p = alloc(layout);
                assert!(!p.is_null() && p as usize % align == 0);
                fill(std::slice::from_raw_parts_mut(p, size), 1);
                let q = realloc(p, layout, size * 3);
                assert!(!q.is_null() && q as usize % align == 0);
                assert!(filled(std::slice::from_raw_parts(q, size), 1));
                dealloc(q, Layout::from_size_align(size * 3, align).unwrap());
            }
        }
        align *= 2;
    }
    "aligned, also after realloc".to_string()
}

fn zeroed() -> String {
    for size in [8, 100, 5000, 100_000, 3 * MIB] {
        let layout = Layout::from_size_align(size, 64).unwrap();
        for _ in 0..20 {
            unsafe {
                let p = alloc(layout);
                std::ptr::write_bytes(p, 0xee, size);
                dealloc(p, layout);
                let p = alloc_zeroed(layout);
                assert!(std::slice::from_raw_parts(p, size).iter().all(|b| *b == 0));
                dealloc(p, layout);
            }
        }
    }
    "zero".to_string()
}

fn channels() -> String {
    let (to_all, from_all) = mpsc::channel::<(usize, Vec<u8>)>();
    let threads: Vec<_> = (0..6)
        .map(|t| {
            let to_all = to_all.clone();
            thread::spawn(move || {
                for i in 0..3000 {
                    let mut v = vec![0; 1 + i * 37 % 5000];
                    fill(&mut v, i + t);
                    to_all.send((i + t, v)).unwrap();
                }
            })
        })
        .collect();
    drop(to_all);
    let whole = from_all.iter().filter(|(seed, v)| filled(v, *seed)).count();
    for thread in threads {
        thread.join().unwrap();
    }
    format!("{} of 18000 blocks whole", whole)
}

fn shared() -> String {
    let table = Arc::new(Mutex::new(BTreeMap::new()));
    let threads: Vec<_> = (0..8usize)
        .map(|t| {
            let table = Arc::clone(&table);
            thread::Builder::new()
                .stack_size(64 << 10)
                .spawn(move || {
                    for i in 0..2000 {
                        table.lock().unwrap().insert((i % 500, t), format!("{:0100}", i));
                    }
                })
                .unwrap()
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let entries = table.lock().unwrap().len();
    format!("{} entries", entries)
}

static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Local(Vec<String>);

impl Drop for Local {
    fn drop(&mut self) {
        let again: Vec<String> = self.0.iter().map(|s| s.repeat(2)).collect();
        DROPPED.fetch_add(again.len(), Ordering::Relaxed);
    }
}

thread_local!(static LOCAL: RefCell<Local> = RefCell::new(Local(Vec::new())));

fn locals() -> String {
    for _ in 0..50 {
        thread::spawn(|| LOCAL.with(|l| l.borrow_mut().0.extend((0..100).map(|i| i.to_string())))).join().unwrap();
    }
    format!("{} of 5000 dropped", DROPPED.load(Ordering::Relaxed))
}

fn too_large() -> String {
    let mut v: Vec<u8> = Vec::new();
    let refused = v.try_reserve_exact(isize::MAX as usize).is_err();
    // Read back volatile: a block that nobody looks at need not be allocated.
    let null = unsafe {
        let block = alloc(Layout::from_size_align(1 << 50, 4096).unwrap());
        std::ptr::read_volatile(&block).is_null()
    };
    format!("try_reserve: {}, alloc: {}", if refused { "Err" } else { "Ok" }, if null { "null" } else { "a block" })
}

fn exhausted() -> String {
    begin_limited(600 * MIB);
    let take = || {
        let mut blocks: Vec<Vec<u8>> = Vec::with_capacity(1000);
        loop {
            let mut v: Vec<u8> = Vec::new();
            if v.try_reserve_exact(MIB).is_err() {
                return blocks.len();
            }
            v.resize(MIB, 1);
            blocks.push(v);
        }
    };
    let (first, again) = (take(), take());
    format!("Err{}, {}", if first > 64 { "" } else { " too early" }, if again + 2 >= first { "as much again" } else { "less again" })
}

fn panics() -> String {
    panic::set_hook(Box::new(|_| ()));
    let caught = (0..500).filter(|i| {
        let text = format!("{:01000}", i);
        panic::catch_unwind(move || -> () { panic!("{}", text) }).is_err()
    });
    format!("{} of 500 caught", caught.count())
}

/// Also what makes the linker keep a library that has malloc: rustc asks for those that
/// this file needs, and puts them before the C library.
fn of_c() -> String {
    for _ in 0..1000 {
        unsafe {
            let p = strdup(b"a string of C\0".as_ptr() as *const c_char);
            let q = malloc(5000);
            assert!(!p.is_null() && !q.is_null());
            free(p as *mut c_void);
            free(q);
        }
    }
    "freed".to_string()
}

fn allocator() -> &'static str {
    let mut text = vec![0u8; 8192];
    unsafe {
        let file = fmemopen(text.as_mut_ptr() as *mut c_void, text.len(), b"w\0".as_ptr() as *const c_char);
        assert!(!file.is_null() && malloc_info(0, file) == 0 && fclose(file) == 0);
    }
    if text.starts_with(b"<malloc version=\"sparena-") { "sparena" } else { "glibc" }
}

const CASES: [(&str, fn() -> String); 11] = [
    ("Rust/Vec that grows and shrinks", growing),
    ("Rust/HashMap, BTreeMap, String, Box", collections),
    ("Rust/alloc and realloc with alignment", layouts),
    ("Rust/alloc_zeroed after dirty blocks", zeroed),
    ("Rust/blocks sent from six threads", channels),
    ("Rust/eight threads with stacks of 64 KiB", shared),
    ("Rust/thread-local values dropped at the end", locals),
    ("Rust/too large", too_large),
    ("Rust/ulimit -v, try_reserve", exhausted),
    ("Rust/panics caught", panics),
    ("Rust/malloc, strdup and free of C", of_c),
];

fn main() {
    let argument = env::args().nth(1).unwrap_or_default();
    let mut out = std::io::stdout();
    if argument == "--list" {
        for (name, _) in CASES {
            writeln!(out, "{}", name).unwrap();
        }
    } else if argument == "--allocator" {
        writeln!(out, "{}", allocator()).unwrap();
    } else if let Some((_, run)) = CASES.iter().find(|(name, _)| *name == argument) {
        writeln!(out, "{}", run()).unwrap();
    } else {
        eprintln!("usage: programs --list | --allocator | CASE");
        process::exit(2);
    }
}
