// Package script runs the built programs from scripts: testdata/alone needs no server, testdata/running has one that
// all scripts share, and testdata/pipe, where sandlot stands in pipes, another.
//
// A script is a txtar file of testscript: commands that must succeed, or with ! must fail, and what they print. The
// programs sandlot, toolboxd and curl are on the path. A regression's script carries the number of its issue in the
// name.
package script
