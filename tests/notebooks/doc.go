// Package notebooks holds the interpreter to long work: a thousand cells, workers that are killed, interrupts by the
// hundred, and notebooks whose cells have to print what one plain run of python3 prints.
//
// Its tests stand behind the build tag e2e, need a Docker engine, `make build images` and PyPI, and take some minutes:
// they are not part of `make test`. A notebook is a file of testdata; its cells are apart by lines "# %%".
package notebooks
