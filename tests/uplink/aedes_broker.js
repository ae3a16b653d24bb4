// A broker on the npm package aedes (MQTT 3.1.1); usage: node aedes_broker.js PORT
// The package is found through NODE_PATH. Ends with its standard input.
"use strict";

const net = require("net");
const aedes = require("aedes")();

net.createServer(aedes.handle).listen(Number(process.argv[2]), "127.0.0.1");
process.stdin.on("end", () => process.exit(0)).resume();
