//! The network that traffic flows through: processes on nodes, what each operation asks of its process, who calls whom.
//!
//! Flat and without any object of the cluster, so that it can be solved fast and checked against closed forms and against a
//! discrete-event simulation.

/// Mean, variance and third central moment of a time, in seconds and their powers.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Moments {
    /// Mean.
    pub mean: f64,
    /// Variance.
    pub variance: f64,
    /// Third central moment.
    pub third: f64,
}

impl Moments {
    /// Nothing.
    pub const ZERO: Moments = Moments { mean: 0.0, variance: 0.0, third: 0.0 };

    /// Those of a lognormal time with this mean and coefficient of variation.
    pub fn of(mean: f64, cv: f64) -> Moments {
        Moments::lognormal(mean, (mean * cv) * (mean * cv))
    }

    /// Those of a lognormal time with this mean and variance.
    pub fn lognormal(mean: f64, variance: f64) -> Moments {
        let scv = if mean > 0.0 { variance / (mean * mean) } else { 0.0 };
        // The skewness of a lognormal time of coefficient of variation c is (c² + 3) c.
        Moments { mean, variance, third: (scv + 3.0) * variance * variance / mean.max(f64::MIN_POSITIVE) }
    }

    /// This and then that, independent of each other.
    #[must_use]
    pub fn then(self, next: Moments) -> Moments {
        Moments { mean: self.mean + next.mean, variance: self.variance + next.variance, third: self.third + next.third }
    }

    /// The second moment.
    pub fn square(self) -> f64 {
        self.variance + self.mean * self.mean
    }

    /// The third moment.
    pub fn cube(self) -> f64 {
        self.third + self.mean * (3.0 * self.variance + self.mean * self.mean)
    }

    /// From the moments about zero.
    pub fn raw(mean: f64, square: f64, cube: f64) -> Moments {
        let variance = (square - mean * mean).max(0.0);
        Moments { mean, variance, third: (cube - mean * (3.0 * variance + mean * mean)).max(0.0) }
    }

    /// This with probability `share`, else nothing.
    #[must_use]
    pub fn sometimes(self, share: f64) -> Moments {
        if share >= 1.0 { self } else { Moments::raw(share * self.mean, share * self.square(), share * self.cube()) }
    }

    /// Squared coefficient of variation.
    pub fn scv(self) -> f64 {
        if self.mean > 0.0 { self.variance / (self.mean * self.mean) } else { 0.0 }
    }
}

/// A network.
#[derive(Clone, Debug, Default)]
pub struct Net {
    /// Cores of each node.
    pub nodes: Vec<f64>,
    /// Processes.
    pub stations: Vec<Station>,
    /// Slots of each pool.
    pub pools: Vec<f64>,
    /// Operations; callers stand before those they call.
    pub operations: Vec<Operation>,
    /// Where requests come in.
    pub entries: Vec<Entry>,
    /// How many calls there are; each has its number in [`Call::id`].
    pub calls: usize,
}

/// A process: its threads share the node's cores with everybody else there, up to its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Station {
    /// The node, as a place in [`Net::nodes`].
    pub node: usize,
    /// Most cores that it uses at once: its threads.
    pub threads: f64,
    /// CPU limit in cores; infinite for none.
    pub limit: f64,
    /// Whether it drops work whose caller no longer waits.
    pub cancels: bool,
    /// Its pool of workers, as a place in [`Net::pools`]: a request holds one from when it is begun to its answer.
    pub pool: Option<usize>,
}

/// An operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The process, as a place in [`Net::stations`].
    pub station: usize,
    /// CPU time that it takes of its process, what it calls aside.
    pub demand: Moments,
    /// Whether its body's times already hold that: then only what is lost to others comes on top.
    pub included: bool,
    /// What it does otherwise, in order.
    pub body: Vec<Part>,
}

/// A part of an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Lets time pass, whatever the load.
    Wait(Moments),
    /// Calls.
    Call(Call),
    /// Does something now and then: what a cache does not have is fetched.
    Sometimes {
        /// How often.
        share: f64,
        /// What.
        body: Vec<Part>,
    },
    /// Does several things at once and waits for all.
    Together(Vec<Vec<Part>>),
}

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its number among the network's calls.
    pub id: usize,
    /// The operations that may answer, each as likely as the others.
    pub targets: Vec<usize>,
    /// The caller's pool of connections, as a place in [`Net::pools`], of which each attempt holds one.
    pub pool: Option<usize>,
    /// Share of its attempts that reach one of them.
    pub reached: f64,
    /// Share of its attempts that succeed, if they are not too late.
    pub succeeds: f64,
    /// Time on the way there and back.
    pub hop: Moments,
    /// For how long the caller waits for an attempt, in seconds; infinite for ever.
    pub timeout: f64,
    /// How often it tries again.
    pub retries: u32,
    /// The pause before it does, in seconds.
    pub pause: f64,
    /// Whether the caller's own work fails with it.
    pub needed: bool,
}

/// Where requests come in.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Requests per second.
    pub rate: f64,
    /// What one is; its time-out is the users' patience.
    pub call: Call,
}

impl Net {
    /// Shows every call.
    pub fn each_call(&self, visit: &mut dyn FnMut(&Call)) {
        self.entries.iter().for_each(|entry| visit(&entry.call));
        self.operations.iter().for_each(|operation| each_call(&operation.body, visit));
    }
}

impl Net {
    /// Lets every call be changed.
    pub fn each_call_mut(&mut self, edit: &mut dyn FnMut(&mut Call)) {
        self.entries.iter_mut().for_each(|entry| edit(&mut entry.call));
        self.operations.iter_mut().for_each(|operation| each_call_mut(&mut operation.body, edit));
    }
}

fn each_call_mut(parts: &mut [Part], edit: &mut dyn FnMut(&mut Call)) {
    for part in parts {
        match part {
            Part::Wait(_) => {}
            Part::Call(call) => edit(call),
            Part::Sometimes { body, .. } => each_call_mut(body, edit),
            Part::Together(branches) => branches.iter_mut().for_each(|branch| each_call_mut(branch, edit)),
        }
    }
}

fn each_call(parts: &[Part], visit: &mut dyn FnMut(&Call)) {
    for part in parts {
        match part {
            Part::Wait(_) => {}
            Part::Call(call) => visit(call),
            Part::Sometimes { body, .. } => each_call(body, visit),
            Part::Together(branches) => branches.iter().for_each(|branch| each_call(branch, visit)),
        }
    }
}
