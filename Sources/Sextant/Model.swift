package import Documents

/// A model to train: one of the shipped ones, a Hugging Face `config.json` or a folder with one, or a model document.
public struct Model: Sendable, Equatable {
  package let description: ModelDescription

  /// A shipped model's name; a word with a slash or ending in `.json` is a file, as on the command line.
  public static func named(_ name: String) throws(SextantError) -> Model {
    do { return Model(description: try shippedInputs.model(name)) } catch { throw SextantError(error) }
  }

  /// A Hugging Face `config.json` as it is, or a folder with one, or a model document.
  public static func file(_ path: String) throws(SextantError) -> Model {
    do { return Model(description: try ModelDescription(contentsOf: path)) } catch { throw SextantError(error) }
  }

  /// The text of either, called `model` in errors.
  public static func text(_ json: String) throws(SextantError) -> Model {
    do {
      return Model(description: try ModelDescription(parse(Array(json.utf8), source: "model")))
    } catch { throw SextantError(error) }
  }

  /// What the model is called.
  public var name: String { description.name }
  /// Parameters, each counted once.
  public var parameterCount: Int { description.parameterCount }
  /// What to know of how its file was read; sentences without a full stop.
  public var notes: [String] { description.notes }
  /// Transformer blocks.
  public var layerCount: Int { description.layerCount }
}
