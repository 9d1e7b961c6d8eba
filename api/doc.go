// Package api holds the wire types of every surface and nothing else: no logic beyond what encoding needs.
//
// Names of JSON fields, required fields and nulls are those of the recorded Daytona contract. A field that Sandlot
// adds is optional and says so.
package api
