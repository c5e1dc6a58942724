//! The testbed: plays the programs of an application's containers on a real cluster, from the same data as the simulator.
