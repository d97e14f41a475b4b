//! Schedules that hold, and mistakes put in on purpose that are found.

mod schedules;
mod teeth;
