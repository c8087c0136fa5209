package import JSONText

/// How many layers at either end of a model multiply as they are stored where the others multiply in a narrower format:
/// `bf16_layers` of a job.
///
/// Megatron-LM's `--first-last-layers-bf16`, which says so of layers counted from 0 below the first number, and from the number of
/// layers less the second on (`is_first_last_bf16_layer` of `fp8_utils.py`); blocks of further predictions are none of them. Of a
/// job whose products are all as stored it says nothing new.
package struct WideLayers: Sendable, Hashable {
  /// Layers from the embedding on.
  package var first: Int
  /// Layers up to the head.
  package var last: Int

  package init(first: Int, last: Int) {
    self.first = first
    self.last = last
  }

  /// All layers multiply alike.
  package static let none = WideLayers(first: 0, last: 0)

  /// `1 first and 1 last`.
  package var words: String { "\(first) first and \(last) last" }

  /// The larger of the two.
  package var most: Int { max(first, last) }

  /// As many of them as may be in a model of fewer layers, so that each end is on one stage and a layer is left between them.
  package func shrunk(toLayers layerCount: Int, stageCount: Int) -> WideLayers {
    let ofStage = layerCount / stageCount, room = max(0, layerCount - 1)
    let first = min(first, ofStage, (room + 1) / 2)
    return WideLayers(first: first, last: min(last, ofStage, room - first))
  }

  /// Which they are of so many, counted from 0 at the embedding.
  package func ranges(of layerCount: Int) -> (first: Range<Int>, last: Range<Int>) {
    (0..<min(first, layerCount), max(0, layerCount - last)..<layerCount)
  }

  /// Whether a layer of so many is one of them.
  package func contains(_ layer: Int, of layerCount: Int) -> Bool {
    let (first, last) = ranges(of: layerCount)
    return first.contains(layer) || last.contains(layer)
  }
}

extension WideLayers {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    first = try fields.optional("first")?.integer(in: Self.bounds) ?? 0
    last = try fields.optional("last")?.integer(in: Self.bounds) ?? 0
    try fields.finish()
  }

  /// What a document or a flag may state of either end.
  package static let bounds = 0...ModelDescription.Bounds.layers.upperBound

  /// `{"first": 1, "last": 1}`, without an end that has none.
  package var json: JSON {
    object(("first", first == 0 ? nil : .integer(first)), ("last", last == 0 ? nil : .integer(last)))
  }

  /// Why a model cannot have them; nil if it can.
  func contradiction(_ layerCount: Int) -> String? {
    first + last > layerCount
      ? "\(first) first and \(last) last layers in bf16 are more than the \(layerCount) there are" : nil
  }
}
