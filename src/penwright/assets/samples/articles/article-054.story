A museum dedicated to things that are not especially interesting has opened in a former wool shop in Sheep Street, and is already having to turn people away.

The Collection of Ordinary Objects was founded by Hazel Dunmore, 50, who gave up a post in antiques because she was tired of the best. There are four rooms. They hold a spoon, a coat hook, a glass from a set of six, and a door that used to be in another house.

Every exhibit carries a label that says who had it and how long for. The spoon, for example, stirred the tea of one man for thirty-eight years, and he never thought about it once.

"You can hear people slow down," Ms Dunmore said. "They come in smiling. Then they get to the tea towel."

On Monday a lorry driver stood in front of the coat hook for a quarter of an hour. He said it was the very same as the one at his gran's, and he had not known that he missed it.

There is no gift shop. On the way out, guests are given back the thing that they came in with, such as a glove or a bus ticket, with its own small label tied on.

@highlight

A museum of ordinary objects has opened in Sheep Street

@highlight

Exhibits include a spoon, a coat hook and a tea towel

@highlight

Visitors are handed their own belongings with labels as they leave
