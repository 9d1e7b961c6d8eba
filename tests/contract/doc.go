// Package contract holds the recorded wire contracts as facts, and checks answers against them.
//
// testdata/toolbox.json and testdata/api.json say, for each operation, its method, path, parameters, request body and
// answers; testdata/required-keys.json says which keys of which model some published Python client refuses to do
// without. All three are made by reduce, which leaves out every word of description:
//
//	go run ./tests/contract/reduce -spec ../shared/spec
//
// An answer is right when each value has the type that the contract gives it, every key that the contract or any
// listed client requires is there, and an error has the one error body. Keys that the contract does not know are
// allowed.
//
//	op, _ := contract.Toolbox().Find("GET", "/version")
//	err := op.Check(status, header, body)
package contract
