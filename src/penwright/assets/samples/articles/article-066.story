Readers who finished the Gazette crossword on Thursday found themselves invited to a wedding, though the bride had not at that point been asked.

It was set by Leonard Fipps, 66, who has supplied our puzzle for two decades under the name of Limpet. Those who completed it discovered that the first letters of the down clues spelled out a question to Monica, and that one across was RINGS.

Miss Monica Dale, 63, does the puzzle every day in the window of the Copper Kettle, in pen. She sits at the next table to Mr Fipps and has done so for nine years. They have never talked, except on the subject of sugar.

The cafe was full by ten, since four hundred people had got there before her. She was held up by a bird in the bottom corner. Waitress Tina Cobb said that you could have heard an egg set.

Miss Dale filled in the last square, read it through, and turned the paper over. She wrote something on the back of the bill and passed it across. It was a grid of three by one, with the clue "Agreed (3)".

Mr Fipps took some time to solve it. He said that he had wanted to be sure.

@highlight

The Gazette crossword contained a proposal of marriage on Thursday

@highlight

Setter Leonard Fipps had sat beside Monica Dale in a cafe for years

@highlight

She answered yes with a three-letter clue on the back of a bill
