// Package measure reads what a sandbox may use and uses, from inside it: processors, memory, disk, listening ports.
//
// What the control group grants (versions 1 and 2) goes before what the machine has. Nothing runs between calls:
// everything is read from the kernel when asked, and processor use is the mean since the call before.
package measure
