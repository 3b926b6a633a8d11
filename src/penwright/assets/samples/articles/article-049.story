A balloon that was let go by a child at the Easter fair of 2001 has come back to the same spot and the same hand.

Gemma Rowley was four when she lost it. She is remembered by the balloon seller, Pat Duggan, as "the one who did not cry, but watched it until it had gone and then went on watching".

Last Saturday she was crossing the fairground with her own son, who is three. A red balloon came down from a clear sky, quite slowly, a little wrinkled, trailing a wet string. It stopped in front of her at about the height of her wrist.

Ms Rowley knew it by the face, which her father had drawn with a felt pen. He died when she was eleven.

Mr Duggan, who is still in business, gave it a squeeze and said that there was not a balloon made that would stay up for more than a few days. He sold her another to keep it company.

Tied to the string there was a tag in a language that nobody has been able to read, a feather from no local bird, and frost.

Her son was asked if he would like to hold it. He looked at his mother, and said that she should.

@highlight

A balloon lost by a child in 2001 has returned to her

@highlight

Gemma Rowley, now a mother, knew it by her late father's drawing

@highlight

Its string carried a strange tag, a feather and some frost
