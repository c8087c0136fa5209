import Documents

/// Something of every kind of layer.
struct ByKind<Value: Sendable>: Sendable {
  /// Of layers with one feed-forward part for all tokens.
  let dense: Value
  /// Of layers with experts; of a model without, the same as ``dense``.
  let experts: Value

  @inline(__always)
  init(dense: Value, experts: Value) {
    self.dense = dense
    self.experts = experts
  }

  /// The same of both kinds.
  init(_ value: Value) { self.init(dense: value, experts: value) }

  @inline(__always)
  subscript(kind: LayerCounts.Kind) -> Value { kind == .dense ? dense : experts }

  func map<Other: Sendable>(_ body: (Value) -> Other) -> ByKind<Other> {
    ByKind<Other>(dense: body(dense), experts: body(experts))
  }
}

extension ByKind<Int> {
  /// Of so many layers of each kind together.
  @inline(__always)
  func sum(_ layers: LayerCounts) -> Int { layers.dense * dense + layers.experts * experts }
}

extension ByKind {
  /// Of so many layers of each kind together.
  @inline(__always)
  func sum(_ layers: LayerCounts, _ value: (Value) -> Double) -> Double {
    // A product with no layers is exact, and so is the sum with it.
    layers.experts == 0
      ? Double(layers.dense) * value(dense)
      : Double(layers.dense) * value(dense) + Double(layers.experts) * value(experts)
  }

  /// The most of the kinds that there are.
  func most<Number: Comparable>(among layers: LayerCounts, _ value: (Value) -> Number) -> Number {
    if layers.experts == 0 { return value(dense) }
    return layers.dense == 0 ? value(experts) : Swift.max(value(dense), value(experts))
  }

  /// The least of the kinds that there are.
  func least<Number: Comparable>(among layers: LayerCounts, _ value: (Value) -> Number) -> Number {
    if layers.experts == 0 { return value(dense) }
    return layers.dense == 0 ? value(experts) : Swift.min(value(dense), value(experts))
  }
}
