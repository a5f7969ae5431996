// RUN: tessera-opt --split-input-file --verify-diagnostics --tessera-verify-graph %s

func.func @main(%x: tensor<?x8xf32>, %b: tensor<i1>) -> tensor<?x8xf32> {
  %shared = graph.constant dense<1.0> : tensor<f32> loc(unknown)
  %0 = graph.exp %x : tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

func.func @other_dialect(%x: tensor<8xf32>) -> tensor<8xf32> {
  // expected-error@+1 {{'arith.addf' op [verify-graph] is no graph op; lower it to graph ops, or leave it to an island}}
  %0 = arith.addf %x, %x : tensor<8xf32>
  return %0 : tensor<8xf32>
}

// -----

// expected-error@+1 {{'func.func' op [verify-graph] argument 1 has element type 'index'; cast to f32, f64, f16, bf16, i8, i16, i32, i64, ui8 or i1}}
func.func @element_type(%x: tensor<8xf32>, %i: tensor<8xindex>) {
  return
}

// -----

// expected-error@+1 {{'func.func' op [verify-graph] argument 0 has type 'tensor<*xf32>'; Graph IR has ranked tensors only}}
func.func @unranked(%x: tensor<*xf32>) {
  return
}

// -----

// expected-error@+1 {{'func.func' op [verify-graph] argument 0 has the encoding "nhwc"; layouts are chosen at the schedule level}}
func.func @encoding(%x: tensor<8xf32, "nhwc">) {
  return
}

// -----

// expected-error@unknown {{'graph.exp' op [verify-graph] has no location; give it the module path and source line it came from}}
func.func @no_location(%x: tensor<8xf32>) {
  %0 = graph.exp %x : tensor<8xf32> loc(unknown)
  return
}

// -----

// expected-error@+1 {{'func.func' op [verify-graph] has no body; Graph IR calls nothing from outside but islands}}
func.func private @no_body(%x: tensor<8xf32>)
