//! Sorting in the very order of Go's `sort.Sort`: pattern-defeating quicksort, which is not stable.
//!
//! Objects with equal keys come out in an order that depends on the algorithm; with more than twelve of them it is visible
//! (`kubectl get events --sort-by=.lastTimestamp`), so the algorithm is followed to the swap.

/// What can be sorted: comparisons and swaps by index.
pub trait Swappable {
    /// Whether element `a` must stand before element `b`.
    fn less(&self, a: usize, b: usize) -> bool;
    /// Exchanges two elements.
    fn swap(&mut self, a: usize, b: usize);
}

/// Sorts the first `len` elements.
pub fn sort(data: &mut dyn Swappable, len: usize) {
    let limit = usize::BITS - len.leading_zeros();
    pdq(data, 0, len, limit);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    Unknown,
    Increasing,
    Decreasing,
}

fn insertion(data: &mut dyn Swappable, a: usize, b: usize) {
    for i in a + 1..b {
        let mut j = i;
        while j > a && data.less(j, j - 1) {
            data.swap(j, j - 1);
            j -= 1;
        }
    }
}

fn sift_down(data: &mut dyn Swappable, lo: usize, hi: usize, first: usize) {
    let mut root = lo;
    loop {
        let mut child = 2 * root + 1;
        if child >= hi {
            return;
        }
        if child + 1 < hi && data.less(first + child, first + child + 1) {
            child += 1;
        }
        if !data.less(first + root, first + child) {
            return;
        }
        data.swap(first + root, first + child);
        root = child;
    }
}

fn heap(data: &mut dyn Swappable, a: usize, b: usize) {
    let hi = b - a;
    for i in (0..=(hi.saturating_sub(1)) / 2).rev() {
        sift_down(data, i, hi, a);
    }
    for i in (0..hi).rev() {
        data.swap(a, a + i);
        sift_down(data, 0, i, a);
    }
}

fn pdq(data: &mut dyn Swappable, mut a: usize, mut b: usize, mut limit: u32) {
    let (mut balanced, mut partitioned) = (true, true);
    loop {
        let length = b - a;
        if length <= 12 {
            insertion(data, a, b);
            return;
        }
        if limit == 0 {
            heap(data, a, b);
            return;
        }
        if !balanced {
            break_patterns(data, a, b);
            limit -= 1;
        }
        let (mut pivot, mut hint) = choose_pivot(data, a, b);
        if hint == Hint::Decreasing {
            reverse(data, a, b);
            pivot = (b - 1) - (pivot - a);
            hint = Hint::Increasing;
        }
        if balanced && partitioned && hint == Hint::Increasing && partial_insertion(data, a, b) {
            return;
        }
        if a > 0 && !data.less(a - 1, pivot) {
            a = partition_equal(data, a, b, pivot);
            continue;
        }
        let (mid, already) = partition(data, a, b, pivot);
        partitioned = already;
        let (left, right) = (mid - a, b - mid);
        let threshold = length / 8;
        if left < right {
            balanced = left >= threshold;
            pdq(data, a, mid, limit);
            a = mid + 1;
        } else {
            balanced = right >= threshold;
            pdq(data, mid + 1, b, limit);
            b = mid;
        }
    }
}

fn partition(data: &mut dyn Swappable, a: usize, b: usize, pivot: usize) -> (usize, bool) {
    data.swap(a, pivot);
    let (mut i, mut j) = (a + 1, b - 1);
    while i <= j && data.less(i, a) {
        i += 1;
    }
    while i <= j && !data.less(j, a) {
        j -= 1;
    }
    if i > j {
        data.swap(j, a);
        return (j, true);
    }
    data.swap(i, j);
    i += 1;
    j -= 1;
    loop {
        while i <= j && data.less(i, a) {
            i += 1;
        }
        while i <= j && !data.less(j, a) {
            j -= 1;
        }
        if i > j {
            break;
        }
        data.swap(i, j);
        i += 1;
        j -= 1;
    }
    data.swap(j, a);
    (j, false)
}

fn partition_equal(data: &mut dyn Swappable, a: usize, b: usize, pivot: usize) -> usize {
    data.swap(a, pivot);
    let (mut i, mut j) = (a + 1, b - 1);
    loop {
        while i <= j && !data.less(a, i) {
            i += 1;
        }
        while i <= j && data.less(a, j) {
            j -= 1;
        }
        if i > j {
            return i;
        }
        data.swap(i, j);
        i += 1;
        j -= 1;
    }
}

fn partial_insertion(data: &mut dyn Swappable, a: usize, b: usize) -> bool {
    let mut i = a + 1;
    for _ in 0..5 {
        while i < b && !data.less(i, i - 1) {
            i += 1;
        }
        if i == b {
            return true;
        }
        if b - a < 50 {
            return false;
        }
        data.swap(i, i - 1);
        if i - a >= 2 {
            for j in (1..i).rev() {
                if !data.less(j, j - 1) {
                    break;
                }
                data.swap(j, j - 1);
            }
        }
        if b - i >= 2 {
            for j in i + 1..b {
                if !data.less(j, j - 1) {
                    break;
                }
                data.swap(j, j - 1);
            }
        }
    }
    false
}

fn break_patterns(data: &mut dyn Swappable, a: usize, b: usize) {
    let length = b - a;
    if length < 8 {
        return;
    }
    let mut random = length as u64;
    let modulus = 1usize << (usize::BITS - length.leading_zeros());
    let index = a + (length / 4) * 2 - 1;
    for i in 0..3 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut other = (random as usize) & (modulus - 1);
        if other >= length {
            other -= length;
        }
        data.swap(index + i, a + other);
    }
}

fn choose_pivot(data: &mut dyn Swappable, a: usize, b: usize) -> (usize, Hint) {
    let length = b - a;
    let mut swaps = 0;
    let (mut i, mut j, mut k) = (a + length / 4, a + length / 4 * 2, a + length / 4 * 3);
    if length >= 8 {
        if length >= 50 {
            i = median_adjacent(data, i, &mut swaps);
            j = median_adjacent(data, j, &mut swaps);
            k = median_adjacent(data, k, &mut swaps);
        }
        j = median(data, i, j, k, &mut swaps);
    }
    match swaps {
        0 => (j, Hint::Increasing),
        12 => (j, Hint::Decreasing),
        _ => (j, Hint::Unknown),
    }
}

fn order2(data: &dyn Swappable, a: usize, b: usize, swaps: &mut u32) -> (usize, usize) {
    if data.less(b, a) {
        *swaps += 1;
        return (b, a);
    }
    (a, b)
}

fn median(data: &dyn Swappable, a: usize, b: usize, c: usize, swaps: &mut u32) -> usize {
    let (a, b) = order2(data, a, b, swaps);
    let (b, _) = order2(data, b, c, swaps);
    order2(data, a, b, swaps).1
}

fn median_adjacent(data: &dyn Swappable, a: usize, swaps: &mut u32) -> usize {
    median(data, a - 1, a, a + 1, swaps)
}

fn reverse(data: &mut dyn Swappable, a: usize, b: usize) {
    let (mut i, mut j) = (a, b - 1);
    while i < j {
        data.swap(i, j);
        i += 1;
        j -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pairs(Vec<u8>, Vec<u8>);

    impl Swappable for Pairs {
        fn less(&self, a: usize, b: usize) -> bool {
            self.0[a] < self.0[b]
        }
        fn swap(&mut self, a: usize, b: usize) {
            self.0.swap(a, b);
            self.1.swap(a, b);
        }
    }

    #[test]
    fn leaves_equal_elements_where_go_does() {
        let keys = vec![
            5, 3, 2, 2, 1, 5, 2, 3, 1, 2, 4, 3, 5, 4, 4, 3, 5, 0, 4, 3, 4, 0, 3, 4, 0, 1, 2, 5, 3, 3, 1, 4, 4, 0, 2, 2, 3, 0, 4, 2, 0, 1,
            1, 0, 3, 1, 2, 0, 0, 1, 3,
        ];
        let order = vec![
            40, 21, 48, 47, 17, 24, 43, 33, 37, 4, 41, 8, 42, 30, 25, 45, 49, 35, 34, 2, 3, 46, 6, 9, 39, 26, 11, 50, 28, 29, 1, 19, 44,
            22, 7, 15, 36, 32, 14, 13, 10, 23, 18, 31, 38, 20, 16, 5, 12, 0, 27,
        ];
        let count = keys.len();
        let mut pairs = Pairs(keys, (0..).take(count).collect());
        sort(&mut pairs, count);
        assert!(pairs.0.is_sorted());
        assert_eq!(pairs.1, order, "as Go 1.24 orders them");
    }
}
